"""license_gate: whether everything with a part in a voice may be used in a voice that is sold.

    record = run(project, voice, store, bundle_folder)
    record.go, record.blockers
    judge_release(project, bundle_folder, clock.today())       # a bundle that was released, by today's knowledge

What is judged: every set of weights by its files, its record and the age of its evidence; everything that those were
made from; the recordings; the text frontend; the packages that speak; what share-alike licences ask; facts that were
told otherwise before; and the documents about all this that the bundle carries. The gate reads files only; it is cheap
enough to be asked again at promotion, on the very bytes that are promoted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from voice_pipeline import clock
from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.format import EVALUATION_NAME, ManifestError, content_digest
from voice_pipeline.bundle.settings import SYNTHESIZER_NAME, SynthesizerSettings
from voice_pipeline.failures import Blocker, ConfigError, VoiceFailure
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, Allowlist, load_allowlist
from voice_pipeline.licensing.documents import document_blockers, documents_of
from voice_pipeline.licensing.evidence import (
    WeightsFacts,
    change_blockers,
    evidence_blockers,
    facts_changes,
    record_facts,
    share_alike_blockers,
)
from voice_pipeline.licensing.lineage import Lineage, Node, lineage_of
from voice_pipeline.licensing.packages import PACKAGES_PATH, Package, package_blockers, speaking_packages
from voice_pipeline.licensing.part_verdicts import BY_VERDICT, WeightsVerdict, part_verdict
from voice_pipeline.licensing.parts import Judge, Part, parts_of
from voice_pipeline.licensing.policy import POLICY_PATH, Policy, load_policy
from voice_pipeline.licensing.release_gate import handed_on
from voice_pipeline.licensing.release_gate import judge_release as judge_release
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice

STAGE = "license_gate"
VERSION = "2"


class LicenseRecord(BaseModel):
    """The licence gate's decision on one bundle. Holds no clock time: the same evidence gives the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["license_gate"]
    identity: str
    voice_profile_id: str
    content_digest: str | None  # of the bundle that was looked at; None for one that cannot be read
    recordings_license: str
    go: bool
    blockers: tuple[str, ...]  # "reason: detail", all of them
    weights: tuple[WeightsVerdict, ...]
    lineage: Lineage
    changes: tuple[str, ...] = ()  # facts that were told otherwise before of the same bytes, explained or not
    document_blockers: tuple[str, ...] = ()  # of blockers: what is wrong with the documents that the bundle carries
    package_blockers: tuple[str, ...] = ()  # of blockers: what is wrong with the packages that speak

    def found(self) -> tuple[Blocker, ...]:
        """The blockers, taken apart again."""
        return tuple(Blocker(*blocker.split(": ", 1)) for blocker in self.blockers)


@dataclass(frozen=True)
class _Known:
    """What the project knows about licences, read once for one decision."""

    project: Path
    policy: Policy
    allowlist: Allowlist
    packages: tuple[Package, ...]
    today: date


def run(project: Path, voice: Voice, store: Store, bundle_folder: Path, *, today: date | None = None) -> LicenseRecord:
    """Judge everything with a part in ``voice``; write the record, the decision, and what was told in the ledger.

    Raises ConfigError for a wrong policy, allowlist or packages.yaml, VoiceFailure when the disk refuses.
    """
    today = clock.today() if today is None else today
    record = judge(project, voice, store, bundle_folder, today=today)
    write_json(store.license_decision(voice.voice_profile_id), record.model_dump(mode="json"))
    write_json(store.record(voice.voice_profile_id, STAGE), record.model_dump(mode="json"))
    try:
        record_facts(store, _facts(parts_of(project, voice, store, judges=judges_of(bundle_folder))), today)
    except VoiceFailure as failure:
        if failure.reason != "license_unclear":  # a ledger that cannot be read is a blocker of the record
            raise
    return record


def judge(
    project: Path, voice: Voice, store: Store, bundle_folder: Path, *, today: date | None = None
) -> LicenseRecord:
    """The decision of ``run``, without writing anything. ``today`` is by default the clock's.

    Raises ConfigError for a wrong policy, allowlist or packages.yaml.
    """
    policy = load_policy(project)
    today = clock.today() if today is None else today
    known = _Known(project, policy, load_allowlist(project), speaking_packages(project, policy), today)
    planned = parts_of(project, voice, store)  # what the build knew: the documents are made from it
    parts = parts_of(project, voice, store, judges=judges_of(bundle_folder))
    verdicts = tuple(part_verdict(one, project, policy, known.allowlist, bundle_folder, today) for one in parts)
    lineage = _lineage(known, voice, store, parts)
    changes, change_faults = _changes(store, parts, known)
    packages = package_blockers(known.packages, voice.voice_profile_id)
    built = _lineage(known, voice, store, planned)
    written = documents_of(project, voice, built, known.allowlist, policy, planned)
    documents = document_blockers(written, bundle_folder)
    found = [
        *(Blocker(*blocker.split(": ", 1)) for verdict in verdicts for blocker in verdict.blockers),
        *_recordings_blockers(voice, policy),
        *_text_blockers(voice, bundle_folder),
        *_ancestor_blockers(lineage, parts, known),
        *share_alike_blockers(voice.license, handed_on(lineage), policy),
        *change_faults,
        *packages,
        *documents,
    ]
    try:
        digest = content_digest(bundle_folder)
    except (OSError, ManifestError) as error:
        digest = None
        found.append(Blocker("bundle_invalid", f"the bundle's manifest cannot be read: {error}"))
    blockers = tuple(dict.fromkeys(str(blocker) for blocker in found))
    return LicenseRecord(
        stage="license_gate",
        identity=identity(
            stage=STAGE,
            version=VERSION,
            voice=voice.model_dump(
                mode="json", include={"voice_profile_id", "consent", "source", "base", "language", "license"}
            ),
            content_digest=digest,
            policy=sha256_file(project / POLICY_PATH),
            allowlist=sha256_file(project / ALLOWLIST_PATH),
            packages=sha256_file(project / PACKAGES_PATH),
            lineage=hashlib.sha256(lineage.to_json()).hexdigest(),
            weights=[verdict.model_dump(mode="json") for verdict in verdicts],
            blockers=blockers,
        ),
        voice_profile_id=voice.voice_profile_id,
        content_digest=digest,
        recordings_license=voice.source.license,
        go=not blockers,
        blockers=blockers,
        weights=verdicts,
        lineage=lineage,
        changes=tuple(dict.fromkeys(changes)),
        document_blockers=tuple(str(blocker) for blocker in documents),
        package_blockers=tuple(str(blocker) for blocker in packages),
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


def _lineage(known: _Known, voice: Voice, store: Store, parts: Sequence[Part]) -> Lineage:
    return lineage_of(known.project, voice, store, parts, known.allowlist, known.policy, known.packages)


def _facts(parts: Iterable[Part]) -> list[WeightsFacts]:
    """What the weights manifests tell, for the ledger; those that cannot be read tell nothing."""
    read = (WeightsFacts.read(part.manifest) for part in parts if part.manifest is not None)
    return [one for one in read if one is not None]


def _changes(store: Store, parts: Iterable[Part], known: _Known) -> tuple[tuple[str, ...], tuple[Blocker, ...]]:
    """(changes of facts in words, those that nobody explains and that allow more than before)."""
    facts = _facts(parts)
    try:
        changes = facts_changes(store, facts)
    except VoiceFailure as failure:
        return (), (Blocker(failure.reason, f"{store.license_facts().name}: {failure.detail}"),)
    return tuple(str(one) for one in changes), change_blockers(changes, facts, known.allowlist, known.policy)


def _ancestor_blockers(lineage: Lineage, parts: Iterable[Part], known: _Known) -> Iterator[Blocker]:
    """What the voice's parts were made from; the parts themselves, recordings and packages are judged elsewhere."""
    judged = {f"weights:{part.model_id}" for part in parts}
    judged |= {node.id for node in lineage.nodes if node.kind in ("recordings", "package")}
    yield from lineage.blockers(but=judged)
    for node in lineage.nodes:
        if node.id not in judged and node.judged:
            yield from _ancestor_evidence(lineage, node, known)


def _ancestor_evidence(lineage: Lineage, node: Node, known: _Known) -> Iterator[Blocker]:
    entry = known.allowlist.entry(node.name) if node.kind == "weights" else None
    if entry is not None:
        for blocker in evidence_blockers(entry, known.project, known.policy, known.today):
            yield Blocker(blocker.reason, f"{lineage.way(node.id)}: {blocker.detail}")


def _recordings_blockers(voice: Voice, policy: Policy) -> Iterator[Blocker]:
    decision = policy.decide(voice.source.license)
    if decision.verdict != "allowed":
        yield Blocker(BY_VERDICT[decision.verdict], f"recordings: {decision.reason}")


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
