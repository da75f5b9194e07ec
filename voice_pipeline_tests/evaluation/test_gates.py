from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_pipeline.evaluation.gates import GATES_PATH, METRICS, Gates, judge, load_gates
from voice_pipeline.failures import ConfigError
from voice_pipeline.voice import Voice

PROJECT = Path(__file__).parents[2]
GOOD = {
    "wer": 0.05,
    "wer_above_recordings": 0.02,
    "cer": 0.02,
    "words": 200.0,
    "clipping_share": 0.0,
    "silence_share": 0.15,
    "edge_silence_seconds": 0.1,
    "real_time_factor": 0.1,
}


def voice(**gates: float) -> Voice:
    return Voice.model_validate(
        {
            "voice_profile_id": "tester",
            "display_name": "Tester",
            "source": {"path": "clips"},
            "consent": {"speaker_type": "synthetic", "speaker": "x", "status": "not_applicable"},
            "gates": gates,
        }
    )


def test_good_figures_pass() -> None:
    assert judge(GOOD, load_gates(PROJECT)) == ()
    assert set(GOOD) == set(METRICS)


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_decides_alone_that_a_voice_fails(metric: str) -> None:
    gates = load_gates(PROJECT)
    bad = 99.0 if metric == "words" else 1e6
    for figure in (bad, float("nan")):
        failed = judge({**GOOD, metric: figure}, gates)
        assert [one.metric for one in failed] == [metric]
        assert f"{metric} is " in str(failed[0])
    missing = judge({key: value for key, value in GOOD.items() if key != metric}, gates)
    assert [str(one).startswith(f"{metric} was not measured, the limit is ") for one in missing] == [True]


def test_a_figure_at_its_limit_passes() -> None:
    gates = load_gates(PROJECT)
    assert judge({**GOOD, "wer": gates.max_wer, "words": float(gates.min_words)}, gates) == ()


def test_the_failure_names_figure_and_limit() -> None:
    failed = judge({**GOOD, "wer": 0.31}, load_gates(PROJECT))
    assert str(failed[0]) == "wer is 0.31, the limit is at most 0.15"
    assert str(judge({**GOOD, "words": 3.0}, load_gates(PROJECT))[0]) == "words is 3, the limit is at least 100"


def test_a_voice_may_override_a_gate() -> None:
    gates = load_gates(PROJECT, voice(max_wer=0.5))
    assert gates == load_gates(PROJECT).model_copy(update={"max_wer": 0.5})


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"max_werr": 1.0}, "gates.max_werr: no such gate"),
        ({"wer": 1.0}, "gates.wer: no such gate"),
        ({"max_wer": -1.0}, "gates.max_wer"),
        ({"max_wer": float("inf")}, "gates.max_wer"),
        ({"min_words": 0.0}, "gates.min_words"),
    ],
)
def test_a_wrong_override_names_the_file_and_the_key(overrides: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_gates(PROJECT, voice(**overrides))
    assert str(caught.value).startswith("configs/voices/tester.yaml: ")
    assert told in str(caught.value)


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / GATES_PATH
    path.parent.mkdir()
    good: dict[str, Any] = yaml.safe_load((PROJECT / GATES_PATH).read_text())
    for change in ({"max_wer": None}, {"max_speed": 1}, {"max_wer": "high"}, {"max_wer": float("nan")}):
        path.write_text(yaml.safe_dump({**good, **change}))
        with pytest.raises(ConfigError, match=r"gates\.yaml"):
            load_gates(tmp_path)
    del good["max_cer"]
    path.write_text(yaml.safe_dump(good))
    with pytest.raises(ConfigError, match="max_cer"):
        load_gates(tmp_path)


def test_every_number_has_its_reason() -> None:
    lines = (PROJECT / GATES_PATH).read_text().splitlines()
    for number, line in enumerate(lines):
        if line.split(":")[0] in Gates.model_fields:
            assert lines[number - 1].startswith("# ")
