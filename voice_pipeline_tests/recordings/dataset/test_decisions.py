from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.recordings.dataset.decisions import is_technical, judge
from voice_pipeline.recordings.dataset.rows import Row, row_of, values_of
from voice_pipeline.recordings.thresholds import DatasetGates
from voice_pipeline_tests.recordings.dataset.prepared import GATES

OFF = {
    "min_snr_db": 0, "max_clipping_share": 1, "min_bandwidth_hz": 0, "min_speech_share": 0, "min_speech_rate": 0,
    "min_speaker_similarity": -1,
}  # fmt: skip
GOOD = Row(
    "u", "u.wav", wav="cache/u.wav", normalized_text="hello there", duration=2.0, cer=0.1, peak_dbfs=-3.0, snr_db=30.0,
    clipping_share=0.0, bandwidth_hz=8_000.0, speech_seconds=1.0, speech_share=0.5, speech_rate=11.0,
    speaker_similarity=0.9,
)  # fmt: skip


def codes(gates: DatasetGates = GATES, **figures: Any) -> list[str]:
    return [reason.code for reason in judge(dataclasses.replace(GOOD, **figures), gates)]


def test_nothing_speaks_against_a_good_one() -> None:
    assert judge(GOOD, GATES) == ()


@pytest.mark.parametrize(
    ("figures", "code", "words"),
    [
        ({"duration": 0.21}, "too_short", "lasts 0.21 s; at least 0.3 s are asked"),
        ({"duration": 20.5}, "too_long", "lasts 20.50 s; at most 20 s are asked"),
        ({"peak_dbfs": -61.0}, "silent", "its peak is -61 dBFS; speech is above -60"),
        ({"clipping_share": 0.02}, "clipped", "2 % of its samples are at full scale; at most 0.1 % are asked"),
        ({"snr_db": 11.94}, "low_snr", "speech is 11.9 dB above the noise; at least 12 dB are asked"),
        ({"bandwidth_hz": 3_400.0}, "narrow_band", "its sound ends at 3400 Hz; at least 3600 Hz are asked"),
        ({"speech_share": 0.1}, "little_speech", "10 % of it is speech; at least 25 % are asked"),
        ({"speech_rate": 3.9}, "speech_too_slow", "3.9 characters a second of speech; at least 4 are asked"),
        ({"speech_rate": 31.0}, "speech_too_fast", "31.0 characters a second of speech; at most 30 are asked"),
        ({"cer": 0.41}, "text_mismatch", "what was heard differs from the text by 41 %; at most 40 % are asked"),
        ({"speaker_similarity": 0.5}, "other_speaker", "0.50 like the voice's speaker; at least 0.6 are asked"),
        ({"snr_db": None}, "not_measured", "not measured, but asked for: snr_db"),
        ({"audio_problem": "lfs_pointer", "audio_detail": "is a pointer", "wav": ""}, "lfs_pointer", "is a pointer"),
        ({"audio_problem": "audio_undecodable", "wav": ""}, "audio_undecodable", "it cannot be used"),
        ({"text_problem": "unwritten", "text_detail": "nobody wrote it"}, "unwritten", "nobody wrote it"),
        ({"wav": ""}, "audio_undecodable", "no clip could be made of it"),
    ],
)
def test_each_reason_says_figure_and_limit(figures: dict[str, Any], code: str, words: str) -> None:
    (reason,) = judge(dataclasses.replace(GOOD, **figures), GATES)
    assert (reason.code, reason.detail) == (code, words)


def test_the_limits_themselves_are_kept() -> None:
    limits = {
        "duration": 0.3, "snr_db": 12.0, "clipping_share": 0.001, "bandwidth_hz": 3_600.0, "speech_share": 0.25,
        "speech_rate": 4.0, "cer": 0.4, "speaker_similarity": 0.6,
    }  # fmt: skip
    assert codes(**limits) == []
    assert codes(duration=20.0, speech_rate=30.0, peak_dbfs=-60.0) == []


def test_all_reasons_that_apply() -> None:
    assert codes(snr_db=1.0, clipping_share=0.5, cer=2.0, speaker_similarity=0.1, text_problem="unwritten") == [
        "unwritten", "clipped", "low_snr", "other_speaker",
    ]  # fmt: skip
    assert codes(snr_db=1.0, cer=2.0) == ["low_snr", "text_mismatch"]


def test_what_was_not_measured_is_not_trained_on() -> None:
    missing = {
        "snr_db": None, "clipping_share": None, "bandwidth_hz": None, "speech_seconds": None, "speech_share": None,
        "speech_rate": None, "speaker_similarity": None,
    }  # fmt: skip
    (reason,) = judge(dataclasses.replace(GOOD, **missing), GATES)
    assert reason.code == "not_measured"
    for name in ("snr_db", "clipping_share", "bandwidth_hz", "speech_seconds", "speaker_similarity"):
        assert name in reason.detail


def test_what_no_gate_asks_for_need_not_be_measured() -> None:
    silent = GATES.model_copy(update=OFF)
    missing = {"snr_db": None, "clipping_share": None, "bandwidth_hz": None, "speech_seconds": None, "cer": None}
    assert codes(silent, **missing, speech_share=None, speech_rate=None, speaker_similarity=None) == []
    assert codes(cer=None) == []


def test_silence_has_no_other_faults() -> None:
    assert codes(peak_dbfs=-90.0, snr_db=None, bandwidth_hz=None, speaker_similarity=None, cer=3.0) == ["silent"]


def test_a_problem_of_the_audio_is_the_only_figure_left() -> None:
    assert codes(audio_problem="audio_undecodable", wav="", duration=None, snr_db=None) == ["audio_undecodable"]


def test_what_a_person_cannot_overrule() -> None:
    broken = dataclasses.replace(GOOD, wav="", audio_problem="lfs_pointer", text_problem="unwritten")
    assert all(is_technical(reason, broken) for reason in judge(broken, GATES))
    short = dataclasses.replace(GOOD, duration=0.1, snr_db=0.0)
    assert [is_technical(reason, short) for reason in judge(short, GATES)] == [True, False]


figures = st.one_of(st.none(), st.floats(-100, 100, allow_nan=False))
LIMITS = ("min_snr_db", "min_bandwidth_hz", "min_speech_share", "min_speech_rate", "min_speaker_similarity")


@given(st.fixed_dictionaries({
    "duration": st.floats(0, 40), "snr_db": figures, "bandwidth_hz": figures, "speech_share": figures,
    "speech_rate": figures, "cer": figures, "speaker_similarity": figures, "clipping_share": figures,
}))  # fmt: skip
def test_open_gates_let_through_what_closed_ones_do(values: dict[str, Any]) -> None:
    row = dataclasses.replace(GOOD, **values)
    closed = {reason.code for reason in judge(row, GATES)}
    opened = {reason.code for reason in judge(row, GATES.model_copy(update={**OFF, "max_cer": 1e9}))}
    assert opened <= closed | {"low_snr"}  # a negative SNR is below 0 dB as well
    assert judge(row, GATES) == judge(row, GATES)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=3), st.floats(allow_nan=False), st.booleans())
def test_a_row_comes_back_from_its_columns(reasons: list[tuple[str, str]], number: float, kept: bool) -> None:
    from voice_pipeline.recordings.dataset.rows import Reason

    row = dataclasses.replace(GOOD, reasons=tuple(Reason(*one) for one in reasons), cer=number, kept=kept)
    assert row_of(values_of(row)) == row
