"""license_gate: whether everything with a part in a voice may be used in a voice that is sold.

    record = run(project, voice, store, bundle_folder)
    record.go, record.blockers

Code licence and weights licence are separate facts, and both must pass. The gate reads files only; it is cheap
enough to be asked again at promotion, on the very bytes that are promoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.format import EVALUATION_NAME, ManifestError, content_digest, read_manifest
from voice_pipeline.bundle.settings import SYNTHESIZER_NAME, SynthesizerSettings
from voice_pipeline.failures import Blocker, ConfigError
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, Allowlist, load_allowlist
from voice_pipeline.licensing.parts import Judge, Part, parts_of
from voice_pipeline.licensing.policy import POLICY_PATH, Policy, load_policy
from voice_pipeline.licensing.weights_manifest import (
    EXIT_COMMERCIAL_USE_REQUIRED,
    InvalidManifestError,
    WeightsManifest,
    check_file,
    read_weights_manifest,
)
from voice_pipeline.store import Store, identity, inside, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice

STAGE = "license_gate"
VERSION = "1"
_BY_VERDICT = {"forbidden": "license_noncommercial", "unclear": "license_unclear"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsVerdict(_Strict):
    """What the gate found about one set of weights."""

    role: str
    model_id: str
    weights_license: str | None
    code_license: str | None
    attribution_required: bool | None
    checksum: str | None
    source_url: str | None
    evidence_links: tuple[str, ...]
    blockers: tuple[str, ...]  # "reason: detail"


class LicenseRecord(_Strict):
    """The licence gate's decision on one bundle. Holds no clock time: the same evidence gives the same record."""

    stage: Literal["license_gate"]
    identity: str
    voice_profile_id: str
    content_digest: str | None  # of the bundle that was looked at; None for one that cannot be read
    recordings_license: str
    go: bool
    blockers: tuple[str, ...]  # "reason: detail", all of them
    weights: tuple[WeightsVerdict, ...]

    def found(self) -> tuple[Blocker, ...]:
        """The blockers, taken apart again."""
        return tuple(Blocker(*blocker.split(": ", 1)) for blocker in self.blockers)


def run(project: Path, voice: Voice, store: Store, bundle_folder: Path) -> LicenseRecord:
    """Judge every set of weights with a part in ``voice``, and write the record and the decision.

    Raises ConfigError for a wrong policy or allowlist, VoiceFailure when the disk refuses.
    """
    record = judge(project, voice, store, bundle_folder)
    write_json(store.license_decision(voice.voice_profile_id), record.model_dump(mode="json"))
    write_json(store.record(voice.voice_profile_id, STAGE), record.model_dump(mode="json"))
    return record


def judge(project: Path, voice: Voice, store: Store, bundle_folder: Path) -> LicenseRecord:
    """The decision of ``run``, without writing it. Raises ConfigError for a wrong policy or allowlist."""
    policy, allowlist = load_policy(project), load_allowlist(project)
    parts = parts_of(project, voice, store, judges=judges_of(bundle_folder))
    verdicts = tuple(_verdict(part, policy, allowlist, bundle_folder) for part in parts)
    blockers = [
        *(blocker for verdict in verdicts for blocker in verdict.blockers),
        *(str(blocker) for blocker in _recordings_blockers(voice, policy)),
        *(str(blocker) for blocker in _text_blockers(voice, bundle_folder)),
    ]
    try:
        digest = content_digest(bundle_folder)
    except (OSError, ManifestError) as error:
        digest = None
        blockers.append(str(Blocker("bundle_invalid", f"the bundle's manifest cannot be read: {error}")))
    return LicenseRecord(
        stage="license_gate",
        identity=identity(
            stage=STAGE,
            version=VERSION,
            voice=voice.model_dump(mode="json", include={"voice_profile_id", "consent", "source", "base", "language"}),
            content_digest=digest,
            policy=sha256_file(project / POLICY_PATH),
            allowlist=sha256_file(project / ALLOWLIST_PATH),
            weights=[verdict.model_dump(mode="json") for verdict in verdicts],
        ),
        voice_profile_id=voice.voice_profile_id,
        content_digest=digest,
        recordings_license=voice.source.license,
        go=not blockers,
        blockers=tuple(dict.fromkeys(blockers)),
        weights=verdicts,
    )


@cache  # its sources are pinned by digest: the same in one process, and a second to read
def installed_frontend(language: str) -> TextFrontend | None:
    """The text frontend of the installed packages; None where they, or the language, are missing."""
    try:
        return TextFrontend.for_language(language)
    except ConfigError:
        return None


def judges_of(bundle_folder: Path) -> tuple[Judge, ...]:
    """The models that judged the bundle, as its evaluation names them; () for a bundle that was not judged yet."""
    try:
        value = read_json(bundle_folder / EVALUATION_NAME)
        return tuple(Judge(str(one["model_id"]), str(one["sha256"])) for one in value["judges"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return (Judge("unknown", None),)


def _verdict(part: Part, policy: Policy, allowlist: Allowlist, bundle_folder: Path) -> WeightsVerdict:
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
            *_licence_blockers(manifest, policy),
            *_allowlist_blockers(part, manifest, policy, allowlist),
            *_checksum_blockers(part, manifest),
            *_carried_blockers(part, bundle_folder),
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
    )


def _licence_blockers(manifest: WeightsManifest, policy: Policy) -> Iterator[Blocker]:
    for kind, expression in (("weights", manifest.weights_license), ("code", manifest.code_license)):
        decision = policy.decide(expression)
        if decision.verdict != "allowed":
            yield Blocker(_BY_VERDICT[decision.verdict], f"{kind} licence {decision.reason}")


def _allowlist_blockers(
    part: Part, manifest: WeightsManifest, policy: Policy, allowlist: Allowlist
) -> Iterator[Blocker]:
    entry = allowlist.entry(manifest.model_id)
    if manifest.model_id != part.model_id:
        yield Blocker("license_unclear", f"its weights manifest speaks about {manifest.model_id}")
    if entry is None:
        yield Blocker("license_unclear", f"{manifest.model_id} is not in {ALLOWLIST_PATH}")
        return
    if not entry.commercial_use_allowed:
        yield Blocker("license_noncommercial", "the allowlist records that commercial use is not allowed")
    if part.shipped and not entry.redistribution_allowed:
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


def _recordings_blockers(voice: Voice, policy: Policy) -> Iterator[Blocker]:
    decision = policy.decide(voice.source.license)
    if decision.verdict != "allowed":
        yield Blocker(_BY_VERDICT[decision.verdict], f"recordings: {decision.reason}")


def _text_blockers(voice: Voice, bundle_folder: Path) -> Iterator[Blocker]:
    """The bundle's lexicon and pronunciation model are those of the known packages, made again and compared."""
    known = installed_frontend(voice.language)
    if known is None:
        detail = f"text frontend: the sources of {voice.language} are not installed, so nothing can be compared"
        yield Blocker("license_unclear", detail)
        return
    try:
        found = TextFrontend.load(bundle_folder / SynthesizerSettings.read(bundle_folder / SYNTHESIZER_NAME).frontend)
        same = found.identity == known.identity
    except (OSError, ValueError):  # ConfigError is a ValueError
        same = False
    if not same:
        yield Blocker("license_unclear", "text frontend: the bundle's is not made of the known sources")
