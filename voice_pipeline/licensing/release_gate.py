"""The licences of a bundle that was released, judged by what is known today: for rollback, and for looking again.

    judge_release(project, bundle_folder, clock.today())       # () when it may still be handed on

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
from voice_pipeline.licensing.allowlist import (
    MANIFESTS_PATH,
    Allowlist,
    KnownWeights,
    load_allowlist,
    manifest_name,
)
from voice_pipeline.licensing.evidence import evidence_blockers, share_alike_blockers
from voice_pipeline.licensing.lineage import MAX_LINEAGE_BYTES, Lineage
from voice_pipeline.licensing.lineage_builder import LineageBuilder
from voice_pipeline.licensing.packages import code_policy, load_packages_config
from voice_pipeline.licensing.part_verdicts import allowlist_blockers, licence_blockers
from voice_pipeline.licensing.policy import Policy, load_policy
from voice_pipeline.licensing.weights_manifest import (
    InvalidManifestError,
    WeightsManifest,
    read_weights_manifest,
)
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
    refs = manifest.provenance.weights_refs if manifest.provenance is not None else ()
    manifests = {}
    for reference in refs:
        try:
            one = read_weights_manifest(inside(bundle_folder, reference))
        except (InvalidManifestError, ValueError) as error:
            found.append(Blocker("bundle_invalid", f"{reference}: {error}"))
            continue
        manifests[one.model_id] = one
        found.extend(_carried_manifest(one, reference, carried, policy, allowlist))
    for node in again.nodes:
        entry = allowlist.entry(node.name) if node.kind == "weights" and node.judged else None
        if entry is not None:
            dated = None if _has_manifest(project, entry) else _without_texts(manifests.get(node.name))
            for blocker in evidence_blockers(entry, project, policy, today, manifest=dated):
                found.append(Blocker(blocker.reason, f"{again.way(node.id)}: {blocker.detail}"))
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


def _has_manifest(project: Path, entry: KnownWeights) -> bool:
    return (project / MANIFESTS_PATH / manifest_name(entry.id)).is_file()


def _without_texts(manifest: WeightsManifest | None) -> WeightsManifest | None:
    """Of base weights whose manifest lay elsewhere, what dates the facts: the texts beside it were not handed on."""
    if manifest is None:
        return None
    return manifest.model_copy(
        update={"evidence_links": [one for one in manifest.evidence_links if not one.startswith("texts/")]}
    )


def _carried_manifest(
    manifest: WeightsManifest, reference: str, carried: Lineage, policy: Policy, allowlist: Allowlist
) -> Iterator[Blocker]:
    """What a weights manifest in the bundle says, against today's record."""
    node = next((one for one in carried.nodes if one.kind == "weights" and one.name == manifest.model_id), None)
    if node is None:
        yield Blocker("bundle_invalid", f"{reference} is about {manifest.model_id}, of which {LINEAGE_NAME} is silent")
        return
    for blocker in (
        *licence_blockers(manifest, policy),
        *allowlist_blockers(manifest.model_id, manifest, policy, allowlist, shipped=node.shipped),
    ):
        yield Blocker(blocker.reason, f"{carried.way(node.id)}: {blocker.detail}")
