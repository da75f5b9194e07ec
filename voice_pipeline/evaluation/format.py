"""``evaluation.json``, ``voice_evaluation/2``: what was heard of a bundle, and the figures that follow from it.

    evaluation = read_evaluation(path)
    evaluation.metrics                   # the figures, but for the speed
    evaluation.problems()                # () when the figures are those of the sentences

It holds no times: they vary from run to run, so that the store's record of the evaluation has them (``Timing``), and
the same bundle, sentences and judges give the same bytes. A file is untrusted: its figures count only when they follow
from its sentences.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.evaluation.intelligibility import ErrorCount, total
from voice_pipeline.evaluation.signal import SignalFigures, mean_of
from voice_pipeline.store import identity

SCHEMA = "voice_evaluation/2"
MAX_BYTES = 16 << 20  # of a file; sixty sentences need some thirty thousand
_SHA256 = r"^[0-9a-f]{64}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class JudgeUsed(_Strict):
    """A model that judged."""

    role: Literal["recogniser"]
    model_id: str = Field(min_length=1)
    sha256: str = Field(pattern=_SHA256)
    settings: dict[str, str | int]


class Heard(_Strict):
    """One sentence: what was to be said, what was heard, and how it sounded."""

    source: Literal["validation", "test"]
    sentence_id: str
    text: str
    heard: str
    words: int = Field(ge=1)
    word_errors: int = Field(ge=0)
    characters: int = Field(ge=1)
    character_errors: int = Field(ge=0)
    file: str | None  # below the evaluation's folder; None where nothing was spoken, or for a recording
    sha256: str | None = Field(pattern=_SHA256)  # of the audio
    seconds: float = Field(ge=0)
    peak_dbfs: float
    loudness_lufs: float | None
    clipping_share: float = Field(ge=0, le=1)
    silence_share: float = Field(ge=0, le=1)
    leading_silence: float = Field(ge=0)
    trailing_silence: float = Field(ge=0)

    @property
    def errors(self) -> ErrorCount:
        """Its error counts."""
        return ErrorCount(self.words, self.word_errors, self.characters, self.character_errors)

    @property
    def signal(self) -> SignalFigures:
        """Its signal figures."""
        return SignalFigures(
            self.seconds, self.peak_dbfs, self.loudness_lufs, self.clipping_share, self.silence_share,
            self.leading_silence, self.trailing_silence,
        )  # fmt: skip


class Timing(_Strict):
    """How fast a bundle spoke. It varies from run to run: part of no digest, and of no bundle."""

    real_time_factor: float = Field(gt=0, description="Seconds of computing per second of speech.")
    speech_seconds: float = Field(gt=0)
    compute_seconds: float = Field(gt=0)
    load_seconds: float = Field(ge=0)
    threads: int = Field(ge=1)


class Evaluation(_Strict):
    """The whole file."""

    schema_id: Literal["voice_evaluation/2"] = Field("voice_evaluation/2", alias="schema")
    voice_profile_id: str
    content_digest: str = Field(pattern=_SHA256, description="Of the bundle that was judged.")
    dataset_sha256: str = Field(pattern=_SHA256, description="Of the dataset manifest whose validation split was used.")
    frontend: str = Field(pattern=_SHA256, description="Identity of the text frontend that made both sides comparable.")
    judges: list[JudgeUsed] = Field(min_length=1)
    sentences: list[Heard] = Field(min_length=1)
    recordings: list[Heard] = Field(description="The speaker's own recordings of the validation sentences.")
    metrics: dict[str, float]
    recordings_metrics: dict[str, float]
    digest: str = Field(pattern=_SHA256)

    @property
    def speech_seconds(self) -> float:
        """Seconds of speech in all sentences, as ``Timing`` counts them."""
        return round(sum(one.seconds for one in self.sentences), 3)

    def problems(self) -> tuple[str, ...]:
        """Where the file contradicts itself; () for one that ``evaluate`` wrote."""
        found = []
        if self.metrics != spoken_metrics(self.sentences, self.recordings):
            found.append("its metrics do not follow from its sentences")
        if self.recordings_metrics != metrics_of(self.recordings):
            found.append("its recordings' metrics do not follow from the recordings")
        if self.digest != digest_of(self.to_json()):
            found.append("its digest is not of its content")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the file."""
        return self.model_dump(mode="json", by_alias=True)


def read_evaluation(path: Path) -> Evaluation:
    """Read a file strictly. Raises OSError, or ValueError in one line."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path.name}: larger than {MAX_BYTES} bytes")
    return parse_evaluation(data, path.name)


def parse_evaluation(data: bytes, name: str = "evaluation.json") -> Evaluation:
    """Check the bytes of a file. Raises ValueError in one line."""
    try:
        value = json.loads(data.decode("utf-8"))
        return Evaluation.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ValueError(f"{name}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: not JSON: {type(error).__name__}") from None


def digest_of(value: dict[str, Any]) -> str:
    """sha256 of an evaluation's content: everything but the digest itself."""
    return identity(**{key: part for key, part in value.items() if key != "digest"})


def spoken_metrics(sentences: list[Heard], recordings: list[Heard]) -> dict[str, float]:
    """The figures of what the voice said, and how much worse it is understood than its recordings."""
    metrics = metrics_of(sentences)
    if recordings:
        metrics["wer_above_recordings"] = round(metrics["wer"] - metrics_of(recordings)["wer"], 6)
    return metrics


def metrics_of(heard: list[Heard]) -> dict[str, float]:
    """The figures of many sentences; {} of none."""
    if not heard:
        return {}
    errors = total(one.errors for one in heard)
    return {
        "wer": round(errors.wer, 6),
        "cer": round(errors.cer, 6),
        "words": float(errors.words),
        **mean_of(one.signal for one in heard),
    }
