"""Rollback and revocation from the UI: jobs that act, say why they refuse, and touch no training's status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from voice_pipeline import clock
from voice_pipeline.atomic import read_json
from voice_pipeline.definitions import defs
from voice_pipeline.orchestration.jobs import is_about_training
from voice_pipeline.orchestration.refusal import run_failure
from voice_pipeline.orchestration.workspace import Workspace
from voice_pipeline.promotion import registry
from voice_pipeline_tests.ready_voice import NAME, NOW, ReadyVoice, ready_voice

__all__ = ["ready_voice"]
pytestmark = pytest.mark.evaluation


@pytest.fixture
def voice(ready_voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadyVoice:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    copy = ready_voice.copy(tmp_path / "project")
    copy.promote()
    return copy


def run(voice: ReadyVoice, instance: dg.DagsterInstance, job: str, op: str, **config: Any) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("voices", [NAME])
    return defs.resolve_job_def(job).execute_in_process(
        partition_key=NAME,
        instance=instance,
        resources={"workspace": Workspace(project=str(voice.project), store=str(voice.store.root))},
        run_config={"ops": {op: {"config": config}}},
        raise_on_error=False,
    )


def test_a_revocation_withdraws_and_shows_in_the_history(voice: ReadyVoice) -> None:
    status = voice.store.train_status(NAME, voice.voice.job_type).read_bytes()
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(voice, instance, "revoke_voice", "revoke_consent", reason="she asked", by="a tester")
        assert done.success
        assert not is_about_training(done.dagster_run)
        seen = instance.fetch_observations(dg.AssetKey("promoted_voice"), limit=1).records
        assert seen[0].partition_key == NAME
        last = registry.history(voice.store, NAME)[-1]
        assert (last.action, last.by, last.reason) == ("withdraw", "a tester", "she asked")
        assert read_json(voice.store.revocation(NAME))["voice_profile_id"] == NAME
        refused = run(voice, instance, "rollback_voice", "roll_back")
        assert not refused.success
        step, failure = run_failure(instance, refused.dagster_run)
        assert failure is not None
        assert (step, failure.reason) == ("roll_back", "verification_failed")
        assert "withdrawn" in failure.detail
    assert voice.store.train_status(NAME, voice.voice.job_type).read_bytes() == status


def test_a_rollback_without_an_earlier_release_is_refused(voice: ReadyVoice) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert not run(voice, instance, "rollback_voice", "roll_back", to=7).success
    assert [entry.action for entry in registry.history(voice.store, NAME)] == ["promote"]


def test_a_revocation_needs_its_reason(voice: ReadyVoice) -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.DagsterInvalidConfigError):
        run(voice, instance, "revoke_voice", "revoke_consent")
    assert registry.current(voice.store, NAME) is not None
