"""dataset_manifest: clips with text become a dataset that the trainers read, and a manifest that says what is in it.

    record = manifest.run(project, voice, store, frontend, preflight_record)
    record.train_count, record.rejected_count

Writes ``dataset/`` of the voice (clips/<utterance id>.wav, train.jsonl and validation.jsonl in NeMo's manifest form)
as one folder that changes as a whole, then the manifest of CONTRACTS 5 and its latest copy, then the record.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.clips import VERSION as STAGING_VERSION
from voice_pipeline.recordings.clips import ClipRejected, StagedClip, stage_clip
from voice_pipeline.recordings.decoding import DecodeError
from voice_pipeline.recordings.preflight import PreflightRecord
from voice_pipeline.recordings.source import OnProgress, Recordings, content_digest, find_recordings
from voice_pipeline.recordings.split import Split, assign_splits
from voice_pipeline.recordings.tables import AudioFile, read_rows
from voice_pipeline.recordings.transcripts.older import Rejection, Transcript, Transcripts, read_transcripts
from voice_pipeline.store import Store, atomic_folder, identity, inside, read_json, sha256_file, write_bytes, write_json
from voice_pipeline.text.errors import TextError
from voice_pipeline.voice import Voice

STAGE = "dataset_manifest"
VERSION = "1"
SCHEMA = "voice_dataset/1"
SAMPLE_RATE = 22_050  # Hz, of every recipe's FastPitch and HiFi-GAN
CLIPS = "clips"
OLDER_READERS_NAME = "voice_dataset_manifest.json"
_SPLITS: tuple[Split, ...] = ("train", "validation")


class Normaliser(Protocol):
    """What of the text frontend is used here: ``voice_pipeline.text.frontend.TextFrontend``."""

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what ``normalise`` answers."""

    def normalise(self, text: str) -> str:
        """Text as it is spoken. Raises TextError for what cannot be spoken."""


class DatasetRecord(BaseModel):
    """What the dataset holds. Paths are relative to the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["dataset_manifest"]
    identity: str
    voice_profile_id: str
    job_type: str
    source_sha256: str  # of the recordings, as preflight recorded it
    sample_rate: int  # Hz
    count: int
    train_count: int
    validation_count: int
    rejected_count: int
    rejected_reasons: dict[str, int]
    duration_seconds: float
    validation_seconds: float
    manifest: str
    manifest_sha256: str
    manifest_bytes: int
    train_manifest: str
    train_manifest_sha256: str
    validation_manifest: str
    validation_manifest_sha256: str
    computed_clips: int = Field(
        default=0, exclude=True, description="Clips staged by this call; the cache had the others."
    )


def run(
    project: Path,
    voice: Voice,
    store: Store,
    frontend: Normaliser,
    preflight: PreflightRecord,
    *,
    sample_rate: int = SAMPLE_RATE,
    job_type: str | None = None,
    progress: OnProgress | None = None,
) -> DatasetRecord:
    """Make the dataset of ``voice`` from the recordings that ``preflight`` judged.

    Raises VoiceFailure: what finding the recordings raises, ``source_changed`` when they are not those of
    ``preflight``, ``transcript_missing``, ``empty_dataset`` when fewer than two utterances are left (one for each
    split), ``audio_undecodable``, ``disk_full``, ``permission_denied``.
    """
    name, job_type = voice.voice_profile_id, job_type or voice.job_type
    recordings = find_recordings(project, voice)
    digest, digests = content_digest(recordings)
    if digest != preflight.sha256:
        detail = "the recordings are not those that preflight judged"
        raise VoiceFailure("source_changed", detail, voice=name, file=recordings.shown)
    files = read_rows(store.resolve(preflight.files), AudioFile)
    transcripts = read_transcripts(project, voice, recordings, files)
    key = identity(
        stage=STAGE, version=VERSION, staging=STAGING_VERSION, preflight=preflight.identity, text=transcripts.sha256,
        text_kind=recordings.text, frontend=frontend.identity, sample_rate=sample_rate, job_type=job_type,
    )  # fmt: skip
    known = read_record(store, name)
    if known is not None and known.identity == key and _complete(store, known):
        return known
    entries, rejected, clips = _stage_all(store, recordings, transcripts, digests, frontend, sample_rate, progress)
    _check_enough(voice, recordings, entries, rejected)
    splits = assign_splits({entry["utterance_id"]: entry["source_sha256"] for entry in entries})
    base = store.dataset(name)
    for entry in entries:
        entry["split"] = splits[entry["utterance_id"]]
        entry["target"] = store.relative(base / CLIPS / f"{entry['utterance_id']}.wav")
    value = {
        "schema": SCHEMA,
        "mode": "voice_dataset",
        "count": len(entries),
        "entries": entries,
        "rejected": [asdict(one) for one in rejected],
        "voice_profile_id": name,
        "job_type": job_type,
        "sample_rate": sample_rate,
        "source_sha256": digest,
        "normaliser": frontend.identity,
    }
    _write_dataset(base, entries, clips, value)
    manifest = store.dataset_manifest(name, job_type)
    write_json(manifest, value)
    write_json(store.latest_dataset_manifest(job_type), value)
    record = _record(store, voice, key, value, manifest)
    write_json(store.record(name, STAGE), record.model_dump(mode="json"))
    return record.model_copy(update={"computed_clips": sum(clip.computed for clip in clips.values())})


def read_record(store: Store, voice: str) -> DatasetRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return DatasetRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError):
        return None


def _stage_all(
    store: Store,
    recordings: Recordings,
    transcripts: Transcripts,
    digests: Mapping[str, str],
    frontend: Normaliser,
    sample_rate: int,
    progress: OnProgress | None,
) -> tuple[list[dict[str, Any]], list[Rejection], dict[str, StagedClip]]:
    entries: list[dict[str, Any]] = []
    rejected = list(transcripts.rejected)
    clips: dict[str, StagedClip] = {}
    for number, one in enumerate(transcripts.found, start=1):
        try:
            normalised = frontend.normalise(one.reading)
            clip = stage_clip(store, one.file.path, digests[one.file.name], sample_rate=sample_rate)
        except TextError as error:
            rejected.append(Rejection(one.file.name, one.utterance_id, "text_unusable", f"{error.code}: {error}"))
        except ClipRejected as error:
            rejected.append(Rejection(one.file.name, one.utterance_id, error.reason, str(error)))
        except DecodeError as error:
            raise recordings.failure("audio_undecodable", [one.file.name], str(error)) from error
        else:
            clips[one.utterance_id] = clip
            entries.append(_entry(recordings, one, digests[one.file.name], normalised, clip))
        if progress is not None:
            progress(number, len(transcripts.found))
    return entries, sorted(rejected), clips


def _entry(
    recordings: Recordings, one: Transcript, source_sha256: str, normalised: str, clip: StagedClip
) -> dict[str, Any]:
    absolute = Path(recordings.shown).is_absolute()  # says where somebody's files lie, not what the dataset is
    return {
        "source": one.file.name if absolute else f"{recordings.shown}/{one.file.name}",
        "source_sha256": source_sha256,
        "bytes": clip.bytes,
        "sha256": clip.sha256,
        "utterance_id": one.utterance_id,
        "text": one.text,
        "normalized_text": normalised,
        "duration": clip.seconds,
        "sample_rate": clip.sample_rate,
        "peak_dbfs": clip.figures.peak_dbfs,
        "loudness_lufs": clip.figures.loudness_lufs,
        "clipping_share": clip.figures.clipping_share,
        "noise_floor_dbfs": clip.figures.noise_floor_dbfs,
    }


def _check_enough(
    voice: Voice, recordings: Recordings, entries: list[dict[str, Any]], rejected: list[Rejection]
) -> None:
    if len(entries) >= len(_SPLITS):
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(_reasons(rejected).items()))
    detail = f"{len(entries)} usable utterances, at least {len(_SPLITS)} are needed; rejected: {reasons or 'none'}"
    if rejected:
        detail += f"; the first is {rejected[0].source}: {rejected[0].detail}"
    raise VoiceFailure("empty_dataset", detail, voice=voice.voice_profile_id, file=recordings.shown)


def _write_dataset(
    base: Path, entries: list[dict[str, Any]], clips: Mapping[str, StagedClip], manifest: Mapping[str, Any]
) -> None:
    with atomic_folder(base) as folder:
        (folder / CLIPS).mkdir()
        for identifier, clip in clips.items():
            _link(clip.wav, folder / CLIPS / f"{identifier}.wav")
        for split in _SPLITS:
            lines = (_nemo_line(entry) for entry in entries if entry["split"] == split)
            write_bytes(folder / f"{split}.jsonl", "".join(lines).encode())
        write_json(folder / CLIPS / OLDER_READERS_NAME, manifest)


def _link(cached: Path, target: Path) -> None:
    """A hard link costs no space; where the file system has none, a copy."""
    try:
        os.link(cached, target)
    except OSError:
        shutil.copyfile(cached, target)


def _nemo_line(entry: Mapping[str, Any]) -> str:
    fields = {
        "audio_filepath": entry["target"],
        "text": entry["text"],
        "normalized_text": entry["normalized_text"],
        "duration": entry["duration"],
        "sha256": entry["sha256"],
        "utterance_id": entry["utterance_id"],
    }
    return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"


def _record(store: Store, voice: Voice, key: str, value: Mapping[str, Any], manifest: Path) -> DatasetRecord:
    entries, base = value["entries"], store.dataset(voice.voice_profile_id)
    train, validation = base / "train.jsonl", base / "validation.jsonl"
    held_out = [entry for entry in entries if entry["split"] == "validation"]
    return DatasetRecord(
        stage="dataset_manifest",
        identity=key,
        voice_profile_id=voice.voice_profile_id,
        job_type=value["job_type"],
        source_sha256=value["source_sha256"],
        sample_rate=value["sample_rate"],
        count=len(entries),
        train_count=len(entries) - len(held_out),
        validation_count=len(held_out),
        rejected_count=len(value["rejected"]),
        rejected_reasons=dict(sorted(Counter(one["reason"] for one in value["rejected"]).items())),
        duration_seconds=_seconds(entries),
        validation_seconds=_seconds(held_out),
        manifest=store.relative(manifest),
        manifest_sha256=sha256_file(manifest),
        manifest_bytes=manifest.stat().st_size,
        train_manifest=store.relative(train),
        train_manifest_sha256=sha256_file(train),
        validation_manifest=store.relative(validation),
        validation_manifest_sha256=sha256_file(validation),
    )


def _complete(store: Store, record: DatasetRecord) -> bool:
    """Whether everything that the record names is still there, byte for byte, the clips too."""
    files = [
        (record.manifest, record.manifest_sha256),
        (record.train_manifest, record.train_manifest_sha256),
        (record.validation_manifest, record.validation_manifest_sha256),
    ]
    try:
        if not _all_match(store, files):
            return False
        entries = read_json(store.resolve(record.manifest))["entries"]
        copy = store.dataset(record.voice_profile_id) / CLIPS / OLDER_READERS_NAME
        files = [(entry["target"], entry["sha256"]) for entry in entries]
        return _all_match(store, [*files, (store.relative(copy), record.manifest_sha256)])
    except (OSError, ValueError):
        return False


def _all_match(store: Store, files: Iterable[tuple[str, str]]) -> bool:
    return all(sha256_file(inside(store.root, path)) == sha256 for path, sha256 in files)


def _reasons(rejected: Iterable[Rejection]) -> Counter[str]:
    return Counter(one.reason for one in rejected)


def _seconds(entries: Iterable[Mapping[str, Any]]) -> float:
    return round(sum(float(entry["duration"]) for entry in entries), 6)
