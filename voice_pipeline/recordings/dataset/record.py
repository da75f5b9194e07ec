"""What the dataset holds, as its stage records it; and the refusal of a dataset that its verdicts block."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import Blocker, VoiceFailure
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recordings.dataset.verdicts import DatasetFigures, Verdict
from voice_pipeline.store import Store

STAGE = "dataset_manifest"


class WrittenFile(BaseModel):
    """A file of the dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str  # relative to the store
    sha256: str


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
    rejected_reasons: dict[str, int]  # by first reason
    duration_seconds: float
    validation_seconds: float
    manifest: str
    manifest_sha256: str
    manifest_bytes: int
    train_manifest: str
    train_manifest_sha256: str
    validation_manifest: str
    validation_manifest_sha256: str
    table: str  # Parquet: every row, kept and rejected
    page: str  # HTML: the same for people
    files: tuple[WrittenFile, ...]  # everything in the dataset's folder but the clips
    figures: DatasetFigures  # what the verdicts looked at
    verdicts: tuple[Verdict, ...]
    blockers: tuple[Blocker, ...]  # verdicts that forbid training
    gates: dict[str, float]
    gate_overrides: dict[str, float]
    review_sha256: str  # of a person's overrides
    reviewed: int  # rows that a person's word decided or corrected
    models: tuple[ListeningModel, ...]  # all that listened on the way


def read_record(store: Store, voice: str) -> DatasetRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return DatasetRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError, KeyError, RecursionError):  # KeyError: a blocker whose reason does not exist
        return None


def refuse_blocked(record: DatasetRecord) -> None:
    """Raises VoiceFailure with the first blocker's reason when the dataset may not be trained on."""
    if record.blockers:
        detail = "; ".join(dict.fromkeys(blocker.detail for blocker in record.blockers))
        raise VoiceFailure(record.blockers[0].reason, detail, voice=record.voice_profile_id, file=record.page)
