from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.status import TrainStatus, write_status
from voice_pipeline.training.launcher import (
    PARENT_ENVIRONMENT,
    PYTHON_ENVIRONMENT,
    failure_of,
    require_interpreter,
    trainer_command,
    trainer_environment,
)
from voice_pipeline_tests.training.conftest import Training


def test_the_command_takes_the_trainers_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON_ENVIRONMENT, raising=False)
    assert trainer_command(Path("s.json")) == [sys.executable, "-m", "voice_pipeline.training.nemo", "s.json"]
    monkeypatch.setenv(PYTHON_ENVIRONMENT, "/opt/nemo/bin/python")
    assert trainer_command(Path("s.json"))[0] == "/opt/nemo/bin/python"
    assert trainer_environment()[PARENT_ENVIRONMENT] == str(os.getpid())


def completed(training: Training) -> TrainStatus:
    spec = training.spec
    started = TrainStatus.start(spec.job_type, spec.voice_profile_id, spec.run_id)
    return replace(
        started, status="completed", loss=1.0, checkpoint="c.nemo", checkpoint_bytes=1, checkpoint_sha256="a" * 64
    )


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (0, None),
        (-9, "trainer_killed"),
        (137, "trainer_killed"),
        (1, "trainer_exit_nonzero"),
        (64, "trainer_exit_nonzero"),
        (None, "trainer_killed"),
    ],
)
def test_an_exit_code_has_a_reason(
    new_training: Callable[..., Training], exit_code: int | None, reason: str | None
) -> None:
    training = new_training()
    write_status(training.store, completed(training))
    failure = failure_of(exit_code, training.store, training.spec)
    assert (failure and failure.reason) == reason


def test_the_trainers_own_reason_counts(new_training: Callable[..., Training]) -> None:
    training = new_training()
    original = VoiceFailure("disk_full", "no space left on the device", voice=training.spec.voice_profile_id)
    write_status(training.store, completed(training).failed(original))
    failure = failure_of(2, training.store, training.spec)
    assert failure is not None
    assert (failure.reason, failure.detail, str(failure)) == (original.reason, original.detail, str(original))
    killed = failure_of(-int(signal.SIGKILL), training.store, training.spec)
    assert killed is not None
    assert killed.reason == "trainer_killed"
    assert "SIGKILL" in killed.detail


def test_the_status_of_another_run_does_not_count(new_training: Callable[..., Training]) -> None:
    training = new_training()
    write_status(training.store, replace(completed(training), run_id="another"))
    failure = failure_of(0, training.store, training.spec)
    assert failure is not None
    assert failure.reason == "checkpoint_missing"


@pytest.mark.parametrize("seen_by_the_sensor", [False, True])
def test_an_interpreter_that_cannot_start_the_program_is_named(
    new_training: Callable[..., Training], seen_by_the_sensor: bool
) -> None:
    training = new_training()
    spec = training.spec
    if seen_by_the_sensor:
        write_status(training.store, TrainStatus.start(spec.job_type, spec.voice_profile_id, spec.run_id))
    failure = failure_of(1, training.store, spec)
    assert failure is not None
    assert (failure.reason, failure.exit_code) == ("nemo_runtime_unavailable", 2)


def test_an_interpreter_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_ENVIRONMENT, "/nowhere/python")
    with pytest.raises(VoiceFailure, match="/nowhere/python") as caught:
        require_interpreter("ada")
    assert caught.value.reason == "nemo_runtime_unavailable"
    monkeypatch.delenv(PYTHON_ENVIRONMENT)
    require_interpreter("ada")
