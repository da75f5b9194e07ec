"""voice_evaluation: the bundle speaks sentences that it never saw, and judges listen.

    record = run(project, voice, store, bundle_folder, frontend)
    record.metrics["wer"], record.metrics["real_time_factor"]

It speaks the dataset's validation sentences and our own test sentences with the bundle's own synthesizer, keeps what
it said, and hears the speaker's recordings too: their error rate is what the voice is compared with. Nothing is
derived from a training loss. How fast the voice spoke varies from run to run: the record has it, the bundle has not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from voice_pipeline.atomic import atomic_folder, read_json, write_json
from voice_pipeline.bundle.format import EVALUATION_NAME, content_digest
from voice_pipeline.bundle.seal import add_evaluation
from voice_pipeline.bundle.synthesizer import Synthesizer, write_wav
from voice_pipeline.bundle.validation import require_valid
from voice_pipeline.evaluation.format import (
    SCHEMA,
    Evaluation,
    Heard,
    JudgeUsed,
    Timing,
    digest_of,
    metrics_of,
    read_evaluation,
    spoken_metrics,
)
from voice_pipeline.evaluation.intelligibility import comparable, count_errors
from voice_pipeline.evaluation.signal import SignalFigures, measure
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Recognizer, load_recognizer
from voice_pipeline.recognition.whisper import WhisperRecognizer
from voice_pipeline.recordings.levels import SILENCE_DBFS
from voice_pipeline.recordings.manifest import DatasetRecord, read_record
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.voice import Voice

ENGLISH = "en-US"
STAGE = "voice_evaluation"
VERSION = "2"
LISTENING_VERSION = "1"  # of what a recogniser is given: a change that alters what it hears raises it
MAX_VALIDATION_SENTENCES = 40  # enough for an error rate, and half a minute of listening
THREADS = 1  # of the synthesizer: the real-time factor is that of one core
SPOKEN = "spoken"
_NOTHING = SignalFigures(0.0, SILENCE_DBFS, None, 0.0, 1.0, 0.0, 0.0)

OnProgress = Callable[[int, int], None]


class Frontend(Protocol):
    """What of the text frontend is used here: ``voice_pipeline.text.frontend.TextFrontend``."""

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what ``normalise`` answers."""

    def normalise(self, text: str) -> str:
        """Text as it is spoken. Raises ValueError for what cannot be spoken."""


class EvaluationRecord(BaseModel):
    """What the stage leaves in its record. Paths are relative to the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["voice_evaluation"]
    identity: str
    voice_profile_id: str
    content_digest: str  # of the bundle that was judged
    evaluation: str
    evaluation_sha256: str
    digest: str  # of the evaluation's content
    metrics: dict[str, float]  # every figure that a gate may limit
    timing: Timing  # of the evaluation with that sha256, of the bundle with that content digest
    recordings_metrics: dict[str, float]
    sentences: int
    judges: tuple[str, ...]

    def gate_metrics(self, evaluation: Evaluation) -> dict[str, float]:
        """Every figure that a gate may limit: those of ``evaluation``, and the speed that was measured for it."""
        return {**evaluation.metrics, "real_time_factor": self.timing.real_time_factor}


@dataclass(frozen=True)
class Sentence:
    """A sentence to speak. ``recording`` is the speaker's own, where there is one."""

    source: Literal["validation", "test"]
    sentence_id: str
    text: str
    recording: Path | None = None
    recording_sha256: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the WAV in which the voice says it."""
        return f"{self.source}-{self.sentence_id}.wav"


def run(
    project: Path,
    voice: Voice,
    store: Store,
    bundle_folder: Path,
    frontend: Frontend,
    *,
    recognizer: Recognizer | None = None,
    progress: OnProgress | None = None,
) -> EvaluationRecord:
    """Judge the bundle in ``bundle_folder``, write the evaluation, and seal it into the bundle.

    ``progress(current, total)`` counts what was listened to. Raises VoiceFailure: ``bundle_invalid``,
    ``recognizer_unavailable``, ``verification_failed`` when the dataset is not the one that is recorded,
    ``disk_full``, ``permission_denied``.
    """
    name = voice.voice_profile_id
    require_valid(bundle_folder, voice=name)
    judged = content_digest(bundle_folder)
    dataset = _dataset(store, name)
    sentences = sentences_of(store, name, dataset, voice.language)
    listener = recognizer or judge_of(project, voice)
    stage_identity = identity(
        stage=STAGE,
        version=VERSION,
        voice=name,
        content_digest=judged,
        dataset=dataset.manifest_sha256,
        frontend=frontend.identity,
        sentences=[[one.source, one.sentence_id, one.text, one.recording_sha256] for one in sentences],
        judge=[listener.model_id, listener.sha256, listener.settings],
    )
    known = read_finished(store, name)
    if known is None or known.identity != stage_identity:
        evaluation, timing = _evaluate(
            voice, store, bundle_folder, judged, dataset, sentences, frontend, listener, progress
        )
        known = _write(store, voice, stage_identity, evaluation, timing)
    _seal(store, bundle_folder, known)
    return known


def judge_of(project: Path, voice: Voice) -> Recognizer:
    """Who listens: the packaged recogniser to English, the local one of the voice's config to any other language.

    Raises VoiceFailure ``recognizer_unavailable`` when there is none, and as ``load_recognizer`` does.
    """
    if voice.language.startswith("en"):
        return WhisperRecognizer.load(language=voice.language, voice=voice.voice_profile_id)
    found = load_recognizer(project, voice)
    if found is None:
        detail = (
            f"the packaged one hears English only, the voice speaks {voice.language}, and its config names no other"
        )
        raise VoiceFailure("recognizer_unavailable", detail, voice=voice.voice_profile_id)
    return found


def read_finished(store: Store, voice: str) -> EvaluationRecord | None:
    """The record of an evaluation whose file still has the recorded bytes; None where there is none."""
    try:
        record = EvaluationRecord.model_validate(read_json(store.record(voice, STAGE)))
        return record if sha256_file(store.resolve(record.evaluation)) == record.evaluation_sha256 else None
    except (OSError, ValueError, RecursionError):
        return None


def sentences_of(store: Store, voice: str, dataset: DatasetRecord, language: str = ENGLISH) -> list[Sentence]:
    """What is to be spoken: validation utterances, then our own sentences.

    Raises VoiceFailure ``verification_failed``, or ``empty_dataset`` when there is neither.
    """
    found = [*_validation_sentences(store, voice, dataset), *test_sentences(language)]
    if not found:
        detail = f"no validation utterance, and no test sentences in {language}: there is nothing to speak"
        raise VoiceFailure("empty_dataset", detail, voice=voice)
    return found


def test_sentences(language: str = ENGLISH) -> tuple[Sentence, ...]:
    """Our own sentences, which no sample recording holds; () for a language in which we have none."""
    ours = {"en": "", "es": ".es", "fr": ".fr", "it": ".it"}.get(language.partition("-")[0])
    if ours is None:
        return ()
    file = resources.files("voice_pipeline.evaluation").joinpath(f"test_sentences{ours}.txt")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return tuple(Sentence("test", f"{number:03d}", line) for number, line in enumerate(lines, start=1))


def _dataset(store: Store, voice: str) -> DatasetRecord:
    record = read_record(store, voice)
    if record is None:
        raise VoiceFailure("verification_failed", "there is no record of a dataset_manifest", voice=voice)
    for path, sha256 in (
        (record.validation_manifest, record.validation_manifest_sha256),
        (record.manifest, record.manifest_sha256),
    ):
        try:
            same = sha256_file(store.resolve(path)) == sha256
        except (OSError, ValueError):
            same = False
        if not same:
            raise VoiceFailure("verification_failed", "it is not what dataset_manifest wrote", voice=voice, file=path)
    return record


def _validation_sentences(store: Store, voice: str, dataset: DatasetRecord) -> list[Sentence]:
    """Validation utterances, at most MAX_VALIDATION_SENTENCES, chosen by content, in the order of their ids."""
    entries = [entry for entry in read_json(store.resolve(dataset.manifest))["entries"] if entry["split"] != "train"]
    chosen = sorted(entries, key=lambda entry: str(entry["sha256"]))[:MAX_VALIDATION_SENTENCES]
    sentences = []
    for entry in sorted(chosen, key=lambda entry: str(entry["utterance_id"])):
        recording = store.resolve(entry["target"])
        if not recording.is_file() or sha256_file(recording) != entry["sha256"]:
            raise VoiceFailure(
                "verification_failed", "a clip is not the one in the manifest", voice=voice, file=recording
            )
        sentences.append(
            Sentence("validation", entry["utterance_id"], entry["normalized_text"], recording, entry["sha256"])
        )
    return sentences


def _evaluate(
    voice: Voice,
    store: Store,
    bundle_folder: Path,
    judged: str,
    dataset: DatasetRecord,
    sentences: list[Sentence],
    frontend: Frontend,
    listener: Recognizer,
    progress: OnProgress | None,
) -> tuple[Evaluation, Timing]:
    folder = store.evaluation(voice.voice_profile_id)
    with atomic_folder(folder / SPOKEN) as spoken:
        timing = _speak(bundle_folder, sentences, spoken)
    recorded = [one for one in sentences if one.recording is not None]
    todo: list[tuple[Sentence, Path]] = [(one, folder / SPOKEN / one.file_name) for one in sentences]
    todo += [(one, one.recording) for one in recorded if one.recording is not None]
    heard: list[Heard] = []
    for number, (sentence, audio) in enumerate(todo, start=1):
        name = f"{SPOKEN}/{audio.name}" if number <= len(sentences) else None
        heard.append(_listen(store, sentence, audio, name, frontend, listener))
        if progress is not None:
            progress(number, len(todo))
    ours, theirs = heard[: len(sentences)], heard[len(sentences) :]
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "voice_profile_id": voice.voice_profile_id,
        "content_digest": judged,
        "dataset_sha256": dataset.manifest_sha256,
        "frontend": frontend.identity,
        "judges": [_judge(listener).model_dump(mode="json")],
        "sentences": [one.model_dump(mode="json") for one in ours],
        "recordings": [one.model_dump(mode="json") for one in theirs],
        "metrics": spoken_metrics(ours, theirs),
        "recordings_metrics": metrics_of(theirs),
    }
    return Evaluation.model_validate({**value, "digest": digest_of(value)}), timing


def _judge(listener: Recognizer) -> JudgeUsed:
    return JudgeUsed(role="recogniser", model_id=listener.model_id, sha256=listener.sha256, settings=listener.settings)


def _speak(bundle_folder: Path, sentences: list[Sentence], folder: Path) -> Timing:
    """Speak every sentence into ``folder``. A sentence that the voice cannot say at all leaves no file."""
    start = time.perf_counter()
    synthesizer = Synthesizer.load(bundle_folder, threads=THREADS)
    load_seconds = time.perf_counter() - start
    _say(synthesizer, sentences[0].text)  # the first run allocates; it is not what a listener waits for later
    compute = spoken = 0.0
    for sentence in sentences:
        start = time.perf_counter()
        speech = _say(synthesizer, sentence.text)
        compute += time.perf_counter() - start
        if speech is not None and len(speech.samples):
            spoken += speech.duration
            write_wav(folder / sentence.file_name, speech)
    if not spoken:
        raise VoiceFailure("bundle_invalid", "the bundle speaks none of the sentences", file=bundle_folder)
    return Timing(
        real_time_factor=round(compute / spoken, 4),
        speech_seconds=round(spoken, 3),
        compute_seconds=round(compute, 4),
        load_seconds=round(load_seconds, 4),
        threads=THREADS,
    )


def _say(synthesizer: Synthesizer, text: str) -> Any:
    try:
        return synthesizer.speak(text)
    except (ValueError, VoiceFailure):  # a text or symbols that this voice cannot say: heard as nothing
        return None


def _listen(
    store: Store, sentence: Sentence, audio: Path, name: str | None, frontend: Frontend, listener: Recognizer
) -> Heard:
    said = audio.is_file()
    digest = sha256_file(audio) if said else None
    signal = measure(audio) if said else _NOTHING
    text = _recognised(store, audio, digest, listener) if digest is not None else ""
    errors = count_errors(comparable(sentence.text, frontend.normalise), comparable(text, frontend.normalise))
    return Heard(
        source=sentence.source,
        sentence_id=sentence.sentence_id,
        text=sentence.text,
        heard=text,
        file=name if said else None,
        sha256=digest,
        **asdict(errors),
        **asdict(signal),
    )


def _recognised(store: Store, audio: Path, digest: str, listener: Recognizer) -> str:
    """What the recogniser hears; the same audio is never listened to twice."""
    key = identity(
        audio=digest, judge=[listener.model_id, listener.sha256, listener.settings], version=LISTENING_VERSION
    )
    cached = store.cache("recognised", key, ".json")
    try:
        return str(read_json(cached)["text"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    samples, rate = _samples(audio)
    text = listener.transcribe(samples, rate)
    write_json(cached, {"text": text})
    return text


def _samples(audio: Path) -> tuple[NDArray[np.float32], int]:
    from voice_pipeline.recordings.decoding import open_audio

    with open_audio(audio) as opened:
        return np.concatenate([block.mean(axis=1) for block in opened.blocks()]), opened.sample_rate


def _write(store: Store, voice: Voice, stage_identity: str, evaluation: Evaluation, timing: Timing) -> EvaluationRecord:
    path = store.evaluation(voice.voice_profile_id) / EVALUATION_NAME
    write_json(path, evaluation.to_json())
    record = EvaluationRecord(
        stage="voice_evaluation",
        identity=stage_identity,
        voice_profile_id=voice.voice_profile_id,
        content_digest=evaluation.content_digest,
        evaluation=store.relative(path),
        evaluation_sha256=sha256_file(path),
        digest=evaluation.digest,
        metrics={**evaluation.metrics, "real_time_factor": timing.real_time_factor},
        timing=timing,
        recordings_metrics=evaluation.recordings_metrics,
        sentences=len(evaluation.sentences),
        judges=tuple(judge.model_id for judge in evaluation.judges),
    )
    write_json(store.record(voice.voice_profile_id, STAGE), record.model_dump(mode="json"))
    return record


def _seal(store: Store, bundle_folder: Path, record: EvaluationRecord) -> None:
    """Put the evaluation into the bundle, unless these very bytes are in it."""
    path = store.resolve(record.evaluation)
    sealed = bundle_folder / EVALUATION_NAME
    if sealed.is_file() and sealed.read_bytes() == path.read_bytes():
        return
    value = read_evaluation(path).to_json()
    add_evaluation(bundle_folder, value, expected_content_digest=record.content_digest)


def shown_sentences(evaluation: Evaluation) -> Iterator[dict[str, str | float]]:
    """One row a sentence, the worst first, for people."""
    for one in sorted(evaluation.sentences, key=lambda one: (-one.errors.wer, one.sentence_id)):
        yield {"sentence": one.text, "heard": one.heard, "wer": round(one.errors.wer, 3), "file": one.file or ""}
