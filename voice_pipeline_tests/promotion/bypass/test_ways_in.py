"""Every way in: the asset alone, a backfill, a check forced green in the UI's storage, the command line, the jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from voice_pipeline.cli import main
from voice_pipeline.definitions import defs
from voice_pipeline.orchestration.assets import ASSETS
from voice_pipeline.orchestration.refusal import run_failure
from voice_pipeline.orchestration.workspace import Workspace
from voice_pipeline.promotion import promote, registry, rollback
from voice_pipeline_tests.promotion.releasing import copy_of
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice

pytestmark = pytest.mark.evaluation

PROMOTED = dg.AssetKey("promoted_voice")


@pytest.fixture(autouse=True)
def _on_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives no day gets the one on which the ready voice may be promoted."""
    at = datetime.combine(TODAY, datetime.now(UTC).timetz())

    def moment(today: date | None) -> tuple[date, datetime]:
        return today or TODAY, at

    monkeypatch.setattr(promote, "moment", moment)
    monkeypatch.setattr(rollback, "moment", moment)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("voices", [NAME])
        yield made


@pytest.fixture
def ready(ready_voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadyVoice:
    """The voice of the project in which everything of this test runs."""
    copy = copy_of(ready_voice, tmp_path / "project")
    for name in ("VOICE_SIGNING_KEY", "VOICE_VERIFICATION_KEY", "VOICE_ADAPTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOICE_PROJECT", str(copy.project))
    monkeypatch.setenv("VOICE_STORE", str(copy.store.root))
    return copy


@pytest.fixture
def bad(ready: ReadyVoice) -> ReadyVoice:
    """A voice that nobody understands."""
    ready.evaluate(wrong_words=3)
    return ready


def run_job(
    instance: dg.DagsterInstance, *, partition: str | None = NAME, tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    """The real job, of which the promotion alone is selected."""
    return defs.resolve_job_def("tts_prod_train_nemo").execute_in_process(
        instance=instance,
        partition_key=partition,
        asset_selection=[PROMOTED],
        tags=tags,
        raise_on_error=False,
    )


def assert_refused(
    ready: ReadyVoice, instance: dg.DagsterInstance, done: dg.ExecuteInProcessResult, reason: str
) -> None:
    assert not done.success
    step, failure = run_failure(instance, done.dagster_run)
    assert failure is not None
    assert (step, failure.reason) == ("promoted_voice", reason)
    assert [one.passed for one in done.get_asset_check_evaluations()] == [False]
    assert done.asset_materializations_for_node("promoted_voice") == []
    assert registry.current_folder(ready.store, NAME) is None
    assert not ready.store.promoted(NAME).is_symlink()


def test_the_way_that_is_meant_is_open(ready: ReadyVoice, instance: dg.DagsterInstance) -> None:
    """Else every refusal below would say nothing."""
    assert run_job(instance).success
    assert registry.current_folder(ready.store, NAME) == ready.store.release(NAME, 1)


def test_the_last_asset_alone(bad: ReadyVoice, instance: dg.DagsterInstance) -> None:
    done = dg.materialize(
        ASSETS,
        instance=instance,
        partition_key=NAME,
        selection=[PROMOTED],
        resources={"workspace": Workspace()},
        raise_on_error=False,
    )
    assert_refused(bad, instance, done, "quality_below_threshold")


@pytest.mark.parametrize("in_one_run", [False, True])
def test_a_backfill(bad: ReadyVoice, instance: dg.DagsterInstance, in_one_run: bool) -> None:
    """One run for each partition, or one run for a range of them."""
    tags = {"dagster/backfill": "every_voice"}
    if in_one_run:
        tags |= {"dagster/asset_partition_range_start": NAME, "dagster/asset_partition_range_end": NAME}
    done = run_job(instance, partition=None if in_one_run else NAME, tags=tags)
    assert_refused(bad, instance, done, "quality_below_threshold")


def test_a_check_and_a_materialization_forged_in_the_ui(bad: ReadyVoice, instance: dg.DagsterInstance) -> None:
    """What Dagster's storage says is shown to people; no gate reads it."""
    checks = [
        ("voice_evaluation", "quality"),
        ("license_gate", "licences_allow"),
        ("verification", "constraints_hold"),
        ("verification", "integrity"),
        ("promoted_voice", "promotion"),
    ]
    known = {(key.asset_key.to_user_string(), key.name) for asset in ASSETS for key in asset.check_keys}
    assert set(checks) <= known
    for asset, check in checks:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=NAME, metadata={"go": True, "verdict": "PASS"})
        )
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(dg.AssetKey(asset), check, passed=True, partition=NAME)
        )
    assert registry.current_folder(bad.store, NAME) is None  # what a server asks
    done = run_job(instance)
    assert_refused(bad, instance, done, "quality_below_threshold")


def test_the_experimental_lane_by_the_asset(ready: ReadyVoice, instance: dg.DagsterInstance) -> None:
    ready.configure(lane="experimental")
    done = run_job(instance, tags={"lane": "production"})
    assert_refused(ready, instance, done, "lane_not_promotable")


@pytest.mark.parametrize("command", [["promote", NAME], ["rollback", NAME], ["rollback", NAME, "--to", "1"]])
def test_the_experimental_lane_by_the_command_line(
    ready: ReadyVoice, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    if command[0] == "rollback":
        ready.promote()
    before = registry.history(ready.store, NAME)
    ready.configure(lane="experimental")
    assert main(command) == 3
    told = capsys.readouterr().err
    assert ("lane_not_promotable" in told) or ("release 1 is the first" in told)
    assert registry.history(ready.store, NAME) == before


@pytest.mark.parametrize("to", [None, 1])
def test_the_experimental_lane_by_the_rollback_job(
    ready: ReadyVoice, instance: dg.DagsterInstance, to: int | None
) -> None:
    ready.promote()
    ready.configure(lane="experimental")
    done = defs.resolve_job_def("rollback_voice").execute_in_process(
        instance=instance,
        partition_key=NAME,
        run_config={"ops": {"roll_back": {"config": {"to": to}}}},
        raise_on_error=False,
    )
    assert not done.success
    _, failure = run_failure(instance, done.dagster_run)
    assert failure is not None
    assert failure.reason == ("verification_failed" if to is None else "lane_not_promotable")
    assert len(registry.history(ready.store, NAME)) == 1
