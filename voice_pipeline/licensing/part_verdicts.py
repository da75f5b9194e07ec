"""What the licence gate says of one set of weights with a part in a voice: by its files, its record and its evidence.

    verdict = part_verdict(part, project, policy, allowlist, bundle_folder, today)
    verdict.blockers                                  # "reason: detail"

Code licence and weights licence are separate facts, and both must pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from voice_pipeline.bundle.format import read_manifest
from voice_pipeline.failures import Blocker
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, Allowlist
from voice_pipeline.licensing.evidence import evidence_blockers, manifest_text_faults
from voice_pipeline.licensing.parts import Part
from voice_pipeline.licensing.policy import Policy, Verdict
from voice_pipeline.licensing.weights_manifest import (
    EXIT_COMMERCIAL_USE_REQUIRED,
    InvalidManifestError,
    WeightsManifest,
    check_file,
    read_weights_manifest,
)
from voice_pipeline.store import inside

BY_VERDICT: dict[Verdict, str] = {"forbidden": "license_noncommercial", "unclear": "license_unclear"}


class WeightsVerdict(BaseModel):
    """What the gate found about one set of weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    model_id: str
    weights_license: str | None
    code_license: str | None
    attribution_required: bool | None
    checksum: str | None
    source_url: str | None
    evidence_links: tuple[str, ...]
    blockers: tuple[str, ...]  # "reason: detail"
    checked_on: str | None = None  # the day on which a person compared the licence facts with their source


def part_verdict(
    part: Part, project: Path, policy: Policy, allowlist: Allowlist, bundle_folder: Path, today: date
) -> WeightsVerdict:
    """Judge one part on ``today``, reading its manifest and hashing its weights. Never raises for wrong evidence."""
    manifest: WeightsManifest | None = None
    blockers: list[Blocker] = []
    named = f"{part.role} {part.model_id}"
    if part.manifest is None:
        blockers.append(Blocker("license_unclear", f"{named}: no weights manifest is known for it"))
    else:
        try:
            manifest = read_weights_manifest(part.manifest)
        except InvalidManifestError as error:
            noncommercial = error.exit_code == EXIT_COMMERCIAL_USE_REQUIRED
            reason = "license_noncommercial" if noncommercial else "license_unclear"
            blockers.append(Blocker(reason, f"{named}: its weights manifest: {error}"))
    if manifest is not None:
        found = (
            *licence_blockers(manifest, policy),
            *allowlist_blockers(part.model_id, manifest, policy, allowlist, shipped=part.shipped),
            *_checksum_blockers(part, manifest),
            *_carried_blockers(part, bundle_folder),
            *_evidence_blockers(part, manifest, project, policy, allowlist, today),
        )
        blockers.extend(Blocker(blocker.reason, f"{named}: {blocker.detail}") for blocker in found)
    return WeightsVerdict(
        role=part.role,
        model_id=part.model_id,
        weights_license=manifest.weights_license if manifest else None,
        code_license=manifest.code_license if manifest else None,
        attribution_required=manifest.attribution_required if manifest else None,
        checksum=manifest.checksum if manifest else None,
        source_url=manifest.source_url if manifest else None,
        evidence_links=tuple(manifest.evidence_links) if manifest else (),
        blockers=tuple(str(blocker) for blocker in blockers),
        checked_on=_checked_on(part, manifest, allowlist),
    )


def licence_blockers(manifest: WeightsManifest, policy: Policy) -> Iterator[Blocker]:
    """Why the licences that a manifest names do not allow a voice that is sold."""
    for kind, expression in (("weights", manifest.weights_license), ("code", manifest.code_license)):
        decision = policy.decide(expression)
        if decision.verdict != "allowed":
            yield Blocker(BY_VERDICT[decision.verdict], f"{kind} licence {decision.reason}")


def allowlist_blockers(
    model_id: str, manifest: WeightsManifest, policy: Policy, allowlist: Allowlist, *, shipped: bool
) -> Iterator[Blocker]:
    """Where a manifest about ``model_id`` and the record of known weights do not say the same."""
    entry = allowlist.entry(manifest.model_id)
    if manifest.model_id != model_id:
        yield Blocker("license_unclear", f"its weights manifest speaks about {manifest.model_id}")
    if entry is None:
        yield Blocker("license_unclear", f"{manifest.model_id} is not in {ALLOWLIST_PATH}")
        return
    if not entry.commercial_use_allowed:
        yield Blocker("license_noncommercial", "the allowlist records that commercial use is not allowed")
    if shipped and not entry.redistribution_allowed:
        yield Blocker("license_unclear", "the allowlist records that it may not be redistributed, and the bundle is")
    for disagreement in entry.disagreements(manifest, policy):
        yield Blocker("license_unclear", disagreement)
    if f"sha256:{manifest.sha256}" not in entry.checksums:
        yield Blocker("weights_checksum_mismatch", "the allowlist's facts are about other bytes than its manifest")


def _checksum_blockers(part: Part, manifest: WeightsManifest) -> Iterator[Blocker]:
    if part.file is None:
        yield Blocker("weights_checksum_mismatch", "the weights are not on this machine, so nothing can be compared")
    else:
        try:
            check_file(manifest, part.file)
        except InvalidManifestError as error:
            yield Blocker("weights_checksum_mismatch", error.detail)
    if part.used_sha256 is not None and part.used_sha256 != manifest.sha256:
        detail = f"what was used has sha256 {part.used_sha256}, its manifest says {manifest.sha256}"
        yield Blocker("weights_checksum_mismatch", detail)


def _carried_blockers(part: Part, bundle_folder: Path) -> Iterator[Blocker]:
    """The bundle carries the manifest of everything with a part in it, byte for byte."""
    assert part.manifest is not None
    relative = f"weights/{part.name}.weights-manifest.json"
    try:
        carried = inside(bundle_folder, relative).read_bytes()
        provenance = read_manifest(bundle_folder).provenance
    except (OSError, ValueError):  # ManifestError is a ValueError
        yield Blocker("bundle_invalid", f"the bundle does not carry {relative}")
        return
    if carried != part.manifest.read_bytes():
        yield Blocker("bundle_invalid", f"the bundle's {relative} is not the project's")
    if provenance is None or relative not in provenance.weights_refs:
        yield Blocker("bundle_invalid", f"the bundle's provenance does not name {relative}")


def _evidence_blockers(
    part: Part, manifest: WeightsManifest, project: Path, policy: Policy, allowlist: Allowlist, today: date
) -> Iterator[Blocker]:
    """How old the facts are, and whether the stored texts are still those that were read."""
    assert part.manifest is not None
    entry = allowlist.entry(manifest.model_id)
    if entry is None:  # named above; the manifest's own texts are looked at all the same
        yield from (Blocker("license_unclear", one) for one in manifest_text_faults(project, part.manifest, manifest))
        return
    yield from evidence_blockers(entry, project, policy, today, manifest=manifest, manifest_path=part.manifest)


def _checked_on(part: Part, manifest: WeightsManifest | None, allowlist: Allowlist) -> str | None:
    entry = allowlist.entry(part.model_id)
    if entry is not None and entry.checked_on is not None:
        return entry.checked_on.isoformat()
    return manifest.created_at[:10] if manifest is not None else None
