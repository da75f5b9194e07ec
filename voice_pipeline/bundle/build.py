"""The stage voice_bundle: two trained ``.nemo`` files and a text frontend become a folder that speaks without NeMo.

    models = TrainedModels.from_result(work_dir)
    record = run(voice, store, models, frontend, provenance, weights_manifests)

The bundle is built beside its place and takes it whole. It is the same content for the same tensors, frontend,
config and code; ``created_at`` stays outside every digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_pipeline.atomic import atomic_folder, read_json, write_bytes, write_json
from voice_pipeline.bundle.export_process import run_export
from voice_pipeline.bundle.export_spec import (
    ACOUSTIC_NAME,
    REPORT_NAME,
    VOCODER_NAME,
    ExportReport,
    ExportSpec,
    Sentence,
    SourceModel,
)
from voice_pipeline.bundle.format import (
    ADDED_LATER,
    DOCUMENTS,
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    Provenance,
    content_digest,
    default_created_at,
    manifest_bytes,
    read_manifest,
)
from voice_pipeline.bundle.settings import SYNTHESIZER_NAME, SynthesizerSettings
from voice_pipeline.bundle.synthesizer import Speech, Synthesizer, write_wav
from voice_pipeline.bundle.validation import require_valid, validate_bundle
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.store import Store, canonical_json, identity, sha256_file
from voice_pipeline.voice import Voice

if TYPE_CHECKING:
    from voice_pipeline.text.frontend import TextFrontend

VERSION = "3"
STAGE = "voice_bundle"
SAMPLE_TEXT = "This voice was made from the recordings of one speaker. It reads words, and numbers such as 42."
WEIGHTS_FOLDER = "weights"
WEIGHTS_SUFFIX = ".weights-manifest.json"
_WEIGHTS_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_MAX_WEIGHTS_MANIFEST = 1 << 20  # bytes


@dataclass(frozen=True)
class TrainedModels:
    """What a training left: two ``.nemo`` files, their digests, and the digests of the tensors in them."""

    fastpitch: Path
    hifigan: Path
    fastpitch_sha256: str
    hifigan_sha256: str
    tensors_sha256: Mapping[str, str]

    @classmethod
    def from_result(cls, work_dir: Path, *, voice: str | None = None) -> TrainedModels:
        """Read the ``result.json`` of a finished training. Raises VoiceFailure ``checkpoint_missing``."""
        path = work_dir / "result.json"
        try:
            value = read_json(path)
            models = value["models"]
            return cls(
                fastpitch=work_dir / "fastpitch.nemo",
                hifigan=work_dir / "hifigan.nemo",
                fastpitch_sha256=str(models["fastpitch"]["sha256"]),
                hifigan_sha256=str(models["hifigan"]["sha256"]),
                tensors_sha256={name: str(models[name]["tensors_sha256"]) for name in ("fastpitch", "hifigan")},
            )
        except FileNotFoundError:
            raise VoiceFailure("checkpoint_missing", "the training left no result", voice=voice, file=path) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            detail = f"not the result of a training: {error!r}"
            raise VoiceFailure("checkpoint_missing", detail, voice=voice, file=path) from error


@dataclass(frozen=True)
class BundleRecord:
    """What the stage voice_bundle leaves in its record. Paths are relative to the store."""

    stage: str
    identity: str
    voice_profile_id: str
    bundle: str
    manifest: str
    manifest_sha256: str  # as built; the evaluation that is added later changes it
    content_digest: str
    facts_digest: str  # of all that the manifest says; see facts_digest
    files: int
    bytes: int
    sample: str
    sample_seconds: float
    mel_difference: float  # largest, ONNX against torch
    audio_difference: float
    export_log: str

    @classmethod
    def from_json(cls, value: Any) -> BundleRecord:
        """Read a record's JSON. Raises ValueError for another object."""
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(f"not a record of {STAGE}: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the record; ``from_json`` of it gives an equal record."""
        return asdict(self)


def run(
    voice: Voice,
    store: Store,
    models: TrainedModels,
    frontend: TextFrontend,
    provenance: Provenance,
    weights_manifests: Mapping[str, Path] | None = None,
    *,
    documents: Mapping[str, bytes] | None = None,
    created_at: str | None = None,
    threads: int = 1,
) -> BundleRecord:
    """Build the bundle of ``voice``, or return the record of the same bundle when it is there and whole.

    ``weights_manifests`` maps a short name (``fastpitch_base``) to the weights manifest of everything that has a
    part in the voice. ``documents`` are the files about its rights, as ``licensing.documents`` makes them. Raises
    VoiceFailure: ``checkpoint_missing``, ``bundle_invalid``, what the export found, and what the disk refused;
    ConfigError for a wrong name or time.
    """
    name = voice.voice_profile_id
    weights = _read_weights_manifests(weights_manifests or {})
    documents = documents or {}
    if strangers := sorted(set(documents) - set(DOCUMENTS)):
        raise ConfigError(f"{strangers[0]!r} is no document of a bundle: {', '.join(DOCUMENTS)}")
    full = provenance.model_copy(
        update={
            "weights_refs": tuple(f"{WEIGHTS_FOLDER}/{key}{WEIGHTS_SUFFIX}" for key in sorted(weights)),
            "frontend_identity": frontend.identity,
            "tensors_sha256": dict(sorted(models.tensors_sha256.items())),
        }
    )
    stage_identity = identity(
        stage=STAGE,
        version=VERSION,
        voice=name,
        display_name=voice.display_name,
        language=voice.language,
        fastpitch=models.fastpitch_sha256,
        hifigan=models.hifigan_sha256,
        provenance=full.model_dump(mode="json"),
        weights={key: hashlib.sha256(data).hexdigest() for key, data in weights.items()},
        documents={key: hashlib.sha256(data).hexdigest() for key, data in documents.items()},
    )
    if (finished := _finished(store, name, stage_identity)) is not None:
        return finished

    target = store.bundle(name)
    with atomic_folder(target) as folder:
        report = _export(voice, store, models, frontend, folder, threads)
        _copy_models(models, folder, name)
        settings = SynthesizerSettings(
            language=voice.language,
            sample_rate=report.sample_rate,
            hop=report.hop,
            mels=report.mels,
            symbols=len(frontend.symbol_table),
            frontend_identity=frontend.identity,
        )
        write_json(folder / SYNTHESIZER_NAME, settings.to_json())
        frontend.save(folder / settings.frontend)
        for key, data in weights.items():
            write_bytes(folder / WEIGHTS_FOLDER / f"{key}{WEIGHTS_SUFFIX}", data)
        for document, data in documents.items():
            write_bytes(folder / document, data)
        sample = _speak_sample(folder, sample_texts(voice.language)[-1])
        manifest = BundleManifest(
            bundle_version="voice_bundle/1",
            voice_profile_id=name,
            display_name=voice.display_name,
            created_at=created_at if created_at is not None else default_created_at(),
            files=_entries(folder),
            provenance=full,
        )
        write_bytes(folder / MANIFEST_NAME, manifest_bytes(manifest))
        require_valid(folder, voice=name)
    require_valid(target, voice=name)
    record = BundleRecord(
        stage=STAGE,
        identity=stage_identity,
        voice_profile_id=name,
        bundle=store.relative(target),
        manifest=store.relative(target / MANIFEST_NAME),
        manifest_sha256=sha256_file(target / MANIFEST_NAME),
        content_digest=content_digest(manifest),
        facts_digest=facts_digest(manifest),
        files=len(manifest.files),
        bytes=sum(entry.bytes for entry in manifest.files),
        sample=store.relative(target / "sample.wav"),
        sample_seconds=round(sample.duration, 3),
        mel_difference=max(difference.mel_max for difference in report.differences),
        audio_difference=max(difference.audio_max for difference in report.differences),
        export_log=store.relative(store.bundle_work(name) / "export.log"),
    )
    write_json(store.record(name, STAGE), record.to_json())
    return record


def facts_digest(manifest: BundleManifest) -> str:
    """sha256 over all that a manifest says but its time, and but the entries of files that are added later.

    ``content_digest`` is of the files alone: it holds for a manifest that lies about where they came from.
    """
    facts = manifest.model_dump(mode="json", exclude={"created_at"}, exclude_none=True)
    files = [entry for entry in facts["files"] if entry["path"] not in ADDED_LATER]
    facts["files"] = sorted(files, key=lambda entry: str(entry["path"]))
    return hashlib.sha256(canonical_json(facts)).hexdigest()


def sample_texts(language: str) -> tuple[str, str]:
    """What torch and ONNX are compared on: a short sentence, and one with several clauses, which the sample says."""
    from voice_pipeline.text.spelling.samples import SAMPLES

    return SAMPLES.get(language.partition("-")[0], ("Good morning.", SAMPLE_TEXT))


def _finished(store: Store, voice: str, stage_identity: str) -> BundleRecord | None:
    """The record on disk, when it is of the same identity and every byte of its bundle is still there."""
    folder = store.bundle(voice)
    try:
        record = BundleRecord.from_json(read_json(store.record(voice, STAGE)))
        if record.identity != stage_identity or validate_bundle(folder):
            return None
        manifest = read_manifest(folder)
        built = (content_digest(manifest), facts_digest(manifest))
        return record if built == (record.content_digest, record.facts_digest) else None
    except (OSError, ValueError):
        return None


def _export(
    voice: Voice, store: Store, models: TrainedModels, frontend: TextFrontend, folder: Path, threads: int
) -> ExportReport:
    work = store.bundle_work(voice.voice_profile_id)
    spec = ExportSpec(
        schema="bundle_export/1",
        voice_profile_id=voice.voice_profile_id,
        fastpitch=SourceModel(path=models.fastpitch.resolve(), sha256=models.fastpitch_sha256),
        hifigan=SourceModel(path=models.hifigan.resolve(), sha256=models.hifigan_sha256),
        output=folder,
        vocabulary_size=len(frontend.symbol_table),
        sentences=tuple(Sentence(text=text, ids=tuple(frontend.encode(text))) for text in sample_texts(voice.language)),
        threads=threads,
    )
    report = run_export(spec, work / "export_spec.json", work / "export.log")
    for file in report.files:
        if sha256_file(folder / file.path) != file.sha256:
            raise VoiceFailure("bundle_invalid", f"{file.path} changed after its export", voice=voice.voice_profile_id)
    if {file.path for file in report.files} != {ACOUSTIC_NAME, VOCODER_NAME}:
        detail = f"{REPORT_NAME} names other files than {ACOUSTIC_NAME} and {VOCODER_NAME}"
        raise VoiceFailure("bundle_invalid", detail, voice=voice.voice_profile_id)
    return report


def _copy_models(models: TrainedModels, folder: Path, voice: str) -> None:
    """Copy both .nemo files; the copies must have the digests that the export was made from."""
    pairs = ((models.fastpitch, models.fastpitch_sha256), (models.hifigan, models.hifigan_sha256))
    for (source, expected), target in zip(pairs, ("fastpitch.nemo", "hifigan.nemo"), strict=True):
        shutil.copyfile(source, folder / target)
        if sha256_file(folder / target) != expected:
            raise VoiceFailure("bundle_invalid", "it changed while it was copied", voice=voice, file=source)


def _speak_sample(folder: Path, text: str) -> Speech:
    """sample.wav, spoken by this very folder: what fails here would fail at the listener's."""
    speech = Synthesizer.load(folder).speak(text)
    write_wav(folder / "sample.wav", speech)
    return speech


def _entries(folder: Path) -> tuple[FileEntry, ...]:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(
        FileEntry(path=path, sha256=sha256_file(folder / path), bytes=(folder / path).stat().st_size)
        for path in files
        if path != MANIFEST_NAME
    )


def _read_weights_manifests(paths: Mapping[str, Path]) -> dict[str, bytes]:
    """The bytes of each weights manifest; the licence gate judges them. Raises ConfigError."""
    found = {}
    for key, path in sorted(paths.items()):
        if not _WEIGHTS_NAME.fullmatch(key):
            raise ConfigError(f"{key!r} is no name for a weights manifest: use a-z, 0-9, _, . and -")
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_WEIGHTS_MANIFEST + 1)
            if len(data) > _MAX_WEIGHTS_MANIFEST:
                raise ConfigError(f"{path}: larger than {_MAX_WEIGHTS_MANIFEST} bytes")
            if not isinstance(json.loads(data), dict):
                raise ConfigError(f"{path}: not a weights manifest")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"{path}: not JSON") from error
        found[key] = data
    return found
