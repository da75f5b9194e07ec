"""Whether an utterance is trained on: a pure function of its figures and the limits of configs/gates.yaml.

    reasons = judge(row, gates)        # () when nothing speaks against it; else all reasons that apply

Reasons are stable words: the problems that an earlier stage found (``audio_undecodable``, ``lfs_pointer``,
``transcript_missing``, ``text_unusable``, ``unwritten``, ...), then ``too_short``, ``too_long``, ``silent``,
``clipped``, ``low_snr``, ``narrow_band``, ``little_speech``, ``speech_too_slow``, ``speech_too_fast``,
``text_mismatch``, ``other_speaker`` and ``not_measured``. Later steps add ``duplicate``, ``near_duplicate`` and
``rejected_by_review``.

A figure that was not measured although its gate asks for it is the reason ``not_measured``: what nobody measured is
not trained on. Three gates are silent where there is nothing to ask: the CER where no recogniser listened (or where the
text is the recogniser's own), the speaker's similarity where the gate is -1, and any gate whose limit lets everything
pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from voice_pipeline.recordings.dataset.rows import Reason, Row
from voice_pipeline.recordings.thresholds import DatasetGates

SILENT_BELOW_DBFS = -60.0  # peak; a clip this quiet holds no speech

# What is against these is no matter of judgement: no person's review overrules them. The problems that earlier stages
# found belong to them too, see ``is_technical``.
_TECHNICAL = frozenset({"too_short", "duplicate"})


def judge(row: Row, gates: DatasetGates) -> tuple[Reason, ...]:
    """All reasons against ``row``, in a fixed order."""
    found = []
    if row.audio_problem:
        found.append(Reason(row.audio_problem, row.audio_detail or "it cannot be used"))
    if row.text_problem:
        found.append(Reason(row.text_problem, row.text_detail or "its text cannot be used"))
    if row.kind != "utterance" or row.audio_problem:
        return tuple(found)
    if not row.wav or row.duration is None:
        return (*found, Reason("audio_undecodable", "no clip could be made of it"))
    sound = list(_sound(row, gates))
    found += sound
    if any(reason.code == "silent" for reason in sound):
        return tuple(found)
    if not row.text_problem:
        found += _text(row, gates)
    found += _speaker(row, gates)
    missing = sorted(_not_measured(row, gates))
    if missing:
        found.append(Reason("not_measured", f"not measured, but asked for: {', '.join(missing)}"))
    return tuple(found)


def is_technical(reason: Reason, row: Row) -> bool:
    """Whether no review can overrule ``reason``: there is no sound, no text, too little of it, or it is there twice."""
    return reason.code in _TECHNICAL or reason.code in (row.audio_problem, row.text_problem) or not row.wav


def _sound(row: Row, gates: DatasetGates) -> Iterator[Reason]:
    duration = row.duration or 0.0
    if duration < gates.min_seconds:
        yield Reason("too_short", f"lasts {duration:.2f} s; at least {gates.min_seconds:g} s are asked")
    if duration > gates.max_seconds:
        yield Reason("too_long", f"lasts {duration:.2f} s; at most {gates.max_seconds:g} s are asked")
    if row.peak_dbfs is not None and row.peak_dbfs < SILENT_BELOW_DBFS:
        yield Reason("silent", f"its peak is {row.peak_dbfs:g} dBFS; speech is above {SILENT_BELOW_DBFS:g}")
        return
    if row.clipping_share is not None and row.clipping_share > gates.max_clipping_share:
        share, limit = _percent(row.clipping_share), _percent(gates.max_clipping_share)
        yield Reason("clipped", f"{share} of its samples are at full scale; at most {limit} are asked")
    if row.snr_db is not None and row.snr_db < gates.min_snr_db:
        limit = f"{gates.min_snr_db:g} dB"
        yield Reason("low_snr", f"speech is {row.snr_db:.1f} dB above the noise; at least {limit} are asked")
    if row.bandwidth_hz is not None and row.bandwidth_hz < gates.min_bandwidth_hz:
        limit = f"{gates.min_bandwidth_hz:g} Hz"
        yield Reason("narrow_band", f"its sound ends at {row.bandwidth_hz:.0f} Hz; at least {limit} are asked")
    if row.speech_share is not None and row.speech_share < gates.min_speech_share:
        share, limit = _percent(row.speech_share), _percent(gates.min_speech_share)
        yield Reason("little_speech", f"{share} of it is speech; at least {limit} are asked")


def _text(row: Row, gates: DatasetGates) -> Iterator[Reason]:
    rate = row.speech_rate
    if rate is not None and rate < gates.min_speech_rate:
        limit = f"{gates.min_speech_rate:g}"
        yield Reason("speech_too_slow", f"{rate:.1f} characters a second of speech; at least {limit} are asked")
    if rate is not None and rate > gates.max_speech_rate:
        limit = f"{gates.max_speech_rate:g}"
        yield Reason("speech_too_fast", f"{rate:.1f} characters a second of speech; at most {limit} are asked")
    if row.cer is not None and row.cer > gates.max_cer:
        share, limit = _percent(row.cer), _percent(gates.max_cer)
        yield Reason("text_mismatch", f"what was heard differs from the text by {share}; at most {limit} are asked")


def _speaker(row: Row, gates: DatasetGates) -> Iterator[Reason]:
    similarity = row.speaker_similarity
    if similarity is not None and similarity < gates.min_speaker_similarity:
        limit = f"{gates.min_speaker_similarity:g}"
        yield Reason("other_speaker", f"{similarity:.2f} like the voice's speaker; at least {limit} are asked")


def _not_measured(row: Row, gates: DatasetGates) -> Iterator[str]:
    if row.peak_dbfs is None:
        yield "peak_dbfs"
    if row.clipping_share is None and gates.max_clipping_share < 1:
        yield "clipping_share"
    if row.snr_db is None and gates.min_snr_db > 0:
        yield "snr_db"
    if row.bandwidth_hz is None and gates.min_bandwidth_hz > 0:
        yield "bandwidth_hz"
    if row.speech_seconds is None and (gates.min_speech_share > 0 or gates.min_speech_rate > 0):
        yield "speech_seconds"
    if row.speaker_similarity is None and gates.min_speaker_similarity > -1:
        yield "speaker_similarity"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
