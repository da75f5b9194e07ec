"""The certificate of a verification, and the evidence that it is made of.

    stored = stored_evidence(files, decision)                # evidence.json
    faults = integrity_faults(path, certificate_hash(stored), files)
    certificate = certify(content_of(decision), green=decision.go, integrity_ok=not faults)

``certificateHash`` is the sha256 of the canonical JSON of {packId, packVersion, metrics, constraints, proxy}. Neither
that nor the evidence holds a clock time, a host, a run id or an absolute path: the same evidence gives the same bytes.
Where a file holds one, its entry says which keys of the JSON object are left out of its digest (``without``).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from voice_pipeline.bundle.format import ATTESTATION_NAME, MANIFEST_NAME
from voice_pipeline.promotion.constraints import PACK_ID, PACK_VERSION, certified
from voice_pipeline.promotion.decision import Decision
from voice_pipeline.promotion.evidence import Evidence
from voice_pipeline.store import Store, canonical_json, inside

SCHEMA = "verification_evidence/1"
MAX_JSON_BYTES = 64 << 20  # of a file that is read as JSON
HASHED = ("packId", "packVersion", "metrics", "constraints", "proxy")
_BLOCK = 1 << 20  # bytes
# Records of the stages, and what in them differs from run to run.
_RECORDS: dict[str, tuple[str, ...]] = {
    "audio_preflight": (),
    "dataset_manifest": (),
    "training_features": (),
    "nemo_checkpoint": (),
    "voice_bundle": ("manifest_sha256",),  # of a manifest with its time of creation
    "voice_evaluation": ("metrics", "timing"),  # the speed
}
_MANIFEST_WITHOUT = ("created_at", "files")  # the files are named one by one
_STATUS_WITHOUT = ("run_id", "timestamp")
_SPEC_WITHOUT = ("base", "run_id", "store")  # the training's identity, an input, covers the base weights


@dataclass(frozen=True)
class Certificate:
    """What a verification came to. ``content`` is what ``certificate_hash`` is of."""

    status: Literal["GREEN", "RED"]
    certificate_hash: str
    integrity_ok: bool
    content: Mapping[str, Any]

    @property
    def certificate_id(self) -> str:
        """The hash's first twelve digits, with the pack's name."""
        return f"constraint-pack:{PACK_ID}:{self.certificate_hash[:12]}"

    def summary(self) -> dict[str, Any]:
        """The four fields that a result and a trace carry."""
        return {
            "status": self.status,
            "certificateHash": self.certificate_hash,
            "certificateId": self.certificate_id,
            "integrityOk": self.integrity_ok,
        }

    def to_json(self) -> dict[str, Any]:
        """certificate.json: the four fields, and the content, so that anybody can compute the hash again."""
        return {**self.summary(), **self.content}


def content_of(decision: Decision) -> dict[str, Any]:
    """What the certificate is about. ``proxy`` is false: every figure was measured here, none is a client's claim."""
    return {
        "packId": PACK_ID,
        "packVersion": PACK_VERSION,
        "metrics": decision.evidence.figures(),
        "constraints": certified(decision.constraints),
        "proxy": False,
    }


def certificate_hash(content: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of the five fields. Raises KeyError when one is missing."""
    return hashlib.sha256(canonical_json({key: content[key] for key in HASHED})).hexdigest()


def certify(content: Mapping[str, Any], *, green: bool, integrity_ok: bool) -> Certificate:
    """GREEN needs both: every HARD constraint, and evidence that is still what it was."""
    status: Literal["GREEN", "RED"] = "GREEN" if green and integrity_ok else "RED"
    return Certificate(status, certificate_hash(content), integrity_ok, content)


@dataclass(frozen=True)
class EvidenceFiles:
    """Where the files are that evidence names: in the store, and the bundle in the folder that is verified."""

    store: Store
    voice: str
    bundle_folder: Path

    @property
    def bundle(self) -> str:
        """How evidence names the bundle's folder, wherever the copy lies that is verified."""
        return self.store.bundle(self.voice).relative_to(self.store.root).as_posix() + "/"

    def digest(self, path: str, without: tuple[str, ...] = ()) -> str | None:
        """The file's sha256 now; of a JSON object ``without`` some keys. None: missing, no file, or a way out."""
        try:
            if path.startswith(self.bundle):
                file = inside(self.bundle_folder, path.removeprefix(self.bundle))
            else:
                file = self.store.resolve(path)
            return _json_sha256(file, without) if without else _sha256(file)
        except (OSError, ValueError, RecursionError, RuntimeError):  # RuntimeError: a loop of links
            return None

    def entry(self, path: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """How evidence names a file."""
        entry: dict[str, Any] = {"path": path, "sha256": self.digest(path, without)}
        return {**entry, "without": list(without)} if without else entry


def stored_evidence(files: EvidenceFiles, decision: Decision) -> dict[str, Any]:
    """evidence.json: the certificate's content, the digests of all inputs, and every file with its sha256 now."""
    evidence = decision.evidence
    named = dict(_named(files, evidence))
    return {
        "schema": SCHEMA,
        "voice_profile_id": evidence.voice.voice_profile_id,
        **content_of(decision),
        "inputs": decision.to_json()["evidence"],
        "files": [files.entry(path, named[path]) for path in sorted(named)],
    }


def integrity_faults(path: Path, expected_hash: str, files: EvidenceFiles) -> tuple[str, ...]:
    """Every way in which the evidence stored at ``path`` is not what was certified; () is the only integrity.

    The hash is computed again from the file as it is on the disk, and every file that it names is hashed again.
    """
    try:
        stored = json.loads(_bounded(path))
        found = [] if certificate_hash(stored) == expected_hash else ["the stored evidence has another hash"]
        for entry in stored["files"]:
            if files.digest(entry["path"], tuple(entry.get("without", ()))) != entry["sha256"]:
                found.append(f"{entry['path']} changed while it was verified")
        return tuple(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return (f"the stored evidence cannot be read again: {type(error).__name__}",)


def _named(files: EvidenceFiles, evidence: Evidence) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every file that the decision is about: its path, and the keys that its digest leaves out."""
    store, voice = files.store, evidence.voice.voice_profile_id
    for stage, without in _RECORDS.items():
        yield _relative(store, store.record(voice, stage)), without
    yield _relative(store, store.train_status(voice, evidence.voice.job_type)), _STATUS_WITHOUT
    yield _relative(store, store.utterances(voice)), ()
    if evidence.dataset is not None:
        record = evidence.dataset.record
        for path in (record.manifest, record.train_manifest, record.validation_manifest):
            yield path, ()
    training = evidence.training
    if training is not None:
        yield training.record.fastpitch, ()
        yield training.record.hifigan, ()
        yield f"{training.record.work_dir}/spec.json", _SPEC_WITHOUT
        if training.spec is not None:
            yield training.spec.features_index, ()
            yield training.spec.statistics, ()
    evaluation = evidence.evaluation
    if evaluation.record is not None:
        yield evaluation.record.evaluation, ()
    if evaluation.evaluation is not None:
        folder = _relative(store, store.evaluation(voice))
        yield from ((f"{folder}/{one.file}", ()) for one in evaluation.evaluation.sentences if one.file is not None)
    yield f"{files.bundle}{MANIFEST_NAME}", _MANIFEST_WITHOUT
    if evidence.bundle.manifest is not None:
        for entry in evidence.bundle.manifest.files:
            if entry.path != ATTESTATION_NAME:  # it is made of this certificate
                yield f"{files.bundle}{entry.path}", ()


def _relative(store: Store, path: Path) -> str:
    return path.relative_to(store.root).as_posix()


def _json_sha256(file: Path, without: tuple[str, ...]) -> str:
    value = json.loads(_bounded(file))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return hashlib.sha256(canonical_json({key: part for key, part in value.items() if key not in without})).hexdigest()


def _bounded(file: Path) -> bytes:
    with _regular(file) as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"larger than {MAX_JSON_BYTES} bytes")
    return data


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with _regular(file) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _regular(file: Path) -> BinaryIO:
    """Open a regular file; no pipe is waited for."""
    descriptor = os.open(file.resolve(strict=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise ValueError("not a regular file")
    return stream
