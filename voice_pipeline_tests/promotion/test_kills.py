"""A promotion, rollback or withdrawal that is killed anywhere: a reader sees the old voice or the new one, whole."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.promotion import registry
from voice_pipeline_tests.promotion.dying import killed_at
from voice_pipeline_tests.promotion.releasing import copy_of, leftovers, new_version, promote_next, seen
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice

pytestmark = pytest.mark.evaluation

UNDONE = [  # a promotion that was killed here did not happen
    "after releases.copy_bundle",
    "before promote.write_json",
    "before releases.publish",
    "after releases.publish",
    "after links.prepare",
    "within os.write",
]
DONE = [  # and one that was killed here did
    "after registry.append",
    "after links.finish",
    "before promote._record",
]


@pytest.fixture(scope="module")
def twice(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> ReadyVoice:
    """Two releases are promoted, and a third bundle is ready to be."""
    ready = copy_of(ready_voice, tmp_path_factory.mktemp("twice") / "project")
    assert (ready.promote().release, promote_next(ready)) == (1, 2)
    new_version(ready)
    return ready


@pytest.mark.parametrize("point", UNDONE + DONE)
def test_a_killed_promotion_happened_or_it_did_not(twice: ReadyVoice, tmp_path: Path, point: str) -> None:
    ready = copy_of(twice, tmp_path / "project")
    old = seen(ready)
    assert killed_at(ready.project, point) == -signal.SIGKILL
    after = seen(ready)
    assert (after == old) == (point in UNDONE)
    entry = registry.current(ready.store, NAME)
    assert entry is not None and entry.release == (2 if point in UNDONE else 3)
    folder = registry.current_folder(ready.store, NAME)
    assert folder is not None and validate_bundle(folder / "voice_bundle", production=True) == []

    record = ready.promote()
    assert (record.release, seen(ready)) == (3, seen(ready) if point in UNDONE else after)
    assert len(registry.history(ready.store, NAME)) == 3
    assert leftovers(ready) == []


@pytest.mark.parametrize("act", ["rollback", "withdraw"])
@pytest.mark.parametrize("point", ["after links.prepare", "within os.write", "after registry.append"])
def test_a_killed_step_back_happened_or_it_did_not(twice: ReadyVoice, tmp_path: Path, point: str, act: str) -> None:
    ready = copy_of(twice, tmp_path / "project")
    assert killed_at(ready.project, point, act) == -signal.SIGKILL
    entry = registry.current(ready.store, NAME)
    done = point == "after registry.append"
    assert (entry and entry.release) == ((1 if act == "rollback" else None) if done else 2)
    assert ready.promote().release == 3
    assert [one.action for one in registry.history(ready.store, NAME)] == [
        "promote",
        "promote",
        *([act] if done else []),
        "promote",
    ]
    assert leftovers(ready) == []


@pytest.mark.parametrize("point", ["before releases.publish", "after registry.append", "after links.finish"])
def test_the_first_promotion_killed(ready_voice: ReadyVoice, tmp_path: Path, point: str) -> None:
    ready = copy_of(ready_voice, tmp_path / "project")
    assert killed_at(ready.project, point) == -signal.SIGKILL
    assert (seen(ready) is None) == (point == "before releases.publish")
    assert ready.promote().release == 1
    assert leftovers(ready) == []
