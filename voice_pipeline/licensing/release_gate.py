"""The licences of a bundle that was released, judged by what is known today: for rollback, and for looking again.

    judge_release(project, bundle_folder, date.today())       # () when it may still be handed on

A release is judged from what it carries, its lineage and its weights manifests, by today's policy and allowlist: the
records of the store may be those of another bundle by now. Whether the files are still those that were released is
asked elsewhere, and asked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from voice_pipeline.bundle.format import DOCUMENTS, LINEAGE_NAME, read_manifest
from voice_pipeline.failures import Blocker
from voice_pipeline.licensing.allowlist import Allowlist, load_allowlist
from voice_pipeline.licensing.evidence import evidence_blockers, share_alike_blockers
from voice_pipeline.licensing.lineage import MAX_LINEAGE_BYTES, Lineage
from voice_pipeline.licensing.lineage_builder import LineageBuilder
from voice_pipeline.licensing.packages import code_policy, load_packages_config
from voice_pipeline.licensing.part_verdicts import allowlist_blockers, licence_blockers
from voice_pipeline.licensing.policy import Policy, load_policy
from voice_pipeline.licensing.weights_manifest import InvalidManifestError, read_weights_manifest
from voice_pipeline.store import inside


def judge_release(project: Path, bundle_folder: Path, today: date) -> tuple[Blocker, ...]:
    """Why a released bundle may not be handed on ``today``, as far as licences say.

    Raises ConfigError for a wrong policy, allowlist or packages.yaml.
    """
    policy, allowlist = load_policy(project), load_allowlist(project)
    found = [*_missing(bundle_folder)]
    try:
        carried = read_lineage(bundle_folder)
        manifest = read_manifest(bundle_folder)
    except (OSError, ValueError) as error:  # ManifestError is a ValueError
        found.append(Blocker("bundle_invalid", f"{LINEAGE_NAME} cannot be read: {error}"))
        return tuple(dict.fromkeys(found))
    if carried.voice_profile_id != manifest.voice_profile_id:
        found.append(Blocker("bundle_invalid", f"{LINEAGE_NAME} is of the voice {carried.voice_profile_id}"))
    code = code_policy(policy, load_packages_config(project))
    again = LineageBuilder(carried.voice_profile_id, allowlist, policy).again(carried, code)
    found.extend(again.blockers())
    for node in again.nodes:
        entry = allowlist.entry(node.name) if node.kind == "weights" and node.judged else None
        if entry is not None:
            for blocker in evidence_blockers(entry, project, policy, today):
                found.append(Blocker(blocker.reason, f"{again.way(node.id)}: {blocker.detail}"))
    refs = manifest.provenance.weights_refs if manifest.provenance is not None else ()
    for reference in refs:
        found.extend(_carried_manifest(bundle_folder, reference, carried, policy, allowlist))
    voice_license = carried.root.licenses[0] if carried.root.licenses else None
    found.extend(share_alike_blockers(voice_license, handed_on(again), policy))
    return tuple(dict.fromkeys(found))


def read_lineage(bundle_folder: Path) -> Lineage:
    """The lineage that a bundle carries. Raises OSError, ValueError."""
    with inside(bundle_folder, LINEAGE_NAME).open("rb") as stream:
        return Lineage.from_json(stream.read(MAX_LINEAGE_BYTES + 1))


def handed_on(lineage: Lineage) -> list[tuple[str, str]]:
    """What the voice is an adaptation of: recordings, weights and their data, with the way to each and its licence."""
    kinds = ("recordings", "weights", "dataset")
    held = [node for node in lineage.nodes if node.kind in kinds and node.judged and node.licenses]
    return [(lineage.way(node.id), node.licenses[0]) for node in held if node.shipped or node.kind == "dataset"]


def _missing(bundle_folder: Path) -> Iterator[Blocker]:
    for name in DOCUMENTS:
        try:
            there = inside(bundle_folder, name).is_file()
        except ValueError:
            there = False
        if not there:
            yield Blocker("bundle_invalid", f"the bundle does not carry {name}")


def _carried_manifest(
    bundle_folder: Path, reference: str, carried: Lineage, policy: Policy, allowlist: Allowlist
) -> Iterator[Blocker]:
    """What a weights manifest in the bundle says, against today's record."""
    try:
        manifest = read_weights_manifest(inside(bundle_folder, reference))
    except (InvalidManifestError, ValueError) as error:
        yield Blocker("bundle_invalid", f"{reference}: {error}")
        return
    node = next((one for one in carried.nodes if one.kind == "weights" and one.name == manifest.model_id), None)
    if node is None:
        yield Blocker("bundle_invalid", f"{reference} is about {manifest.model_id}, of which {LINEAGE_NAME} is silent")
        return
    for blocker in (
        *licence_blockers(manifest, policy),
        *allowlist_blockers(manifest.model_id, manifest, policy, allowlist, shipped=node.shipped),
    ):
        yield Blocker(blocker.reason, f"{carried.way(node.id)}: {blocker.detail}")
