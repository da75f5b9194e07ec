"""Whether a stored evaluation can have been made of this dataset, these sentences and these sounds.

    faults = verify(evaluation, store, dataset, frontend)        # () when nothing contradicts it

No judge is asked again: sounds are hashed, sentences chosen and errors counted once more from what was heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from voice_pipeline.evaluation.format import Evaluation, Heard
from voice_pipeline.evaluation.intelligibility import comparable, count_errors
from voice_pipeline.evaluation.run import ENGLISH, EvaluationRecord, Frontend, Sentence, sentences_of
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.store import Store, inside, sha256_file

_SHOWN = 3  # faults of one kind
_ROUNDING = 0.001  # seconds of one sentence, or of computing per second of speech


def verify(
    evaluation: Evaluation, store: Store, dataset: DatasetRecord, frontend: Frontend, language: str = ENGLISH
) -> tuple[str, ...]:
    """Every way in which ``evaluation`` contradicts itself, its dataset or its sounds; () when there is none."""
    found = list(evaluation.problems())
    if evaluation.dataset_sha256 != dataset.manifest_sha256:
        found.append("it used the validation split of another dataset")
    if evaluation.frontend != frontend.identity:
        found.append("it compared words with another text frontend")
    try:
        expected = sentences_of(store, dataset.voice_profile_id, dataset, language)
    except (VoiceFailure, OSError, ValueError, KeyError, TypeError) as error:
        return (*found, f"its sentences cannot be found again: {error}")
    recorded = [sentence for sentence in expected if sentence.recording is not None]
    found += _sentence_faults("sentences", evaluation.sentences, expected)
    found += _sentence_faults("recordings", evaluation.recordings, recorded)
    for kind, heard in (("sentences", evaluation.sentences), ("recordings", evaluation.recordings)):
        wrong = [one.sentence_id for one in heard if not _counted_right(one, frontend)]
        if wrong:
            found.append(f"the errors of {', '.join(wrong[:_SHOWN])} in its {kind} are not those of what was heard")
    return (*found, *_sound_faults(evaluation, store, dataset.voice_profile_id, expected))


def timing_faults(evaluation: Evaluation, record: EvaluationRecord) -> tuple[str, ...]:
    """Every way in which the record's times contradict themselves or the sentences that were timed."""
    timing, found = record.timing, []
    if abs(timing.compute_seconds / timing.speech_seconds - timing.real_time_factor) > _ROUNDING:
        found.append("its record's real-time factor does not follow from its times")
    if abs(timing.speech_seconds - evaluation.speech_seconds) > _ROUNDING * (len(evaluation.sentences) + 1):
        found.append("its record's times are of other speech than was heard")
    if record.metrics != record.gate_metrics(evaluation):
        found.append("its record's figures are not those of the evaluation")
    return tuple(found)


def _sentence_faults(kind: str, heard: list[Heard], expected: list[Sentence]) -> Iterator[str]:
    judged = [(one.source, one.sentence_id, one.text) for one in heard]
    wanted = [(one.source, one.sentence_id, one.text) for one in expected]
    if judged != wanted:
        yield f"its {kind} are not the {len(wanted)} that are to be judged"


def _counted_right(one: Heard, frontend: Frontend) -> bool:
    said, got = (comparable(text, frontend.normalise) for text in (one.text, one.heard))
    return bool(said) and asdict(count_errors(said, got)) == asdict(one.errors)


def _sound_faults(evaluation: Evaluation, store: Store, voice: str, expected: list[Sentence]) -> Iterator[str]:
    folder = store.evaluation(voice)  # whatever voice the file claims to be of
    for one in evaluation.sentences:
        if one.file is None:
            if one.heard or one.seconds:
                yield f"{one.sentence_id} was heard, but nothing was spoken"
            continue
        try:
            same = sha256_file(inside(folder, one.file)) == one.sha256
        except (OSError, ValueError):
            same = False
        if not same:
            yield f"{one.file} is not the sound that was heard"
    clips = {one.sentence_id: one.recording_sha256 for one in expected if one.recording is not None}
    for one in evaluation.recordings:
        if one.sha256 != clips.get(one.sentence_id):
            yield f"the recording {one.sentence_id} is not the sound that was heard"
