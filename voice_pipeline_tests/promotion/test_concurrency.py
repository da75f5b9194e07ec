"""Promotions, rollbacks and withdrawals at once, in several processes and threads, under the eyes of readers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voice_pipeline.atomic import exclusive
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.gate import installed_frontend
from voice_pipeline.promotion import registry, releases
from voice_pipeline.promotion.entries import Facts
from voice_pipeline.store import Store
from voice_pipeline_tests.promotion import dying
from voice_pipeline_tests.promotion.releasing import copy_of, digest_of_tree, leftovers, promote_next, roll_back
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice

SECONDS = 2.0


class Readers:
    """Threads that follow what is promoted, read every file of it, and keep what they read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.found: set[tuple[str, str]] = set()
        self.looks = 0
        self.failures: list[BaseException] = []
        self._stop = threading.Event()

    @contextmanager
    def looking(self, threads: int = 2) -> Iterator[None]:
        """Look until the block ends."""
        started = [threading.Thread(target=self._look) for _ in range(threads)]
        for thread in started:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in started:
                thread.join()

    def _look(self) -> None:
        try:
            while not self._stop.is_set():
                folder = registry.current_folder(self.store, NAME)
                self.looks += 1
                if folder is not None:
                    self.found.add((folder.name, digest_of_tree(folder)))
        except BaseException as error:
            self.failures.append(error)


def whole(store: Store) -> dict[str, str]:
    """The releases that were ever promoted, and one digest over each."""
    promoted = {one.release for one in registry.history(store, NAME) if one.action == "promote"}
    return {f"{number:06d}": digest_of_tree(store.release(NAME, number)) for number in promoted if number}


def now() -> datetime:
    return datetime.combine(TODAY, datetime.now(UTC).timetz())


def withdraw(store: Store) -> None:
    registry.withdraw(store, NAME, by="dora", reason="asked for it", at=now())


def turn(root: Path, seed: int) -> None:
    """Turn between releases, add some, and withdraw, for some seconds: what promote and rollback do, unjudged."""
    store, choose = Store(root), random.Random(seed)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if choose.random() < 0.1:
            withdraw(store)
            continue
        with registry.changing(store, NAME):
            entries = registry.heal(store, NAME, by="dora", at=now())
            known = {one.release: one.facts() for one in entries if one.action == "promote" and one.release}
            if len(known) < 2 or choose.random() < 0.1:
                number = releases.next_number(store, NAME, max(known, default=0))
                folder = releases.new_folder(store, NAME)
                for name in "abcd":
                    (folder / name).write_text(f"{name} of {number}" * 1000)
                releases.publish(folder, store, NAME, number)
                digest = f"{number:064x}"
                facts = Facts(content_digest=digest, bundle_manifest_sha256=digest, decision_sha256=digest)
                registry.enter(store, NAME, "promote", number, facts, by="dora", at=now())
            else:
                number = choose.choice(sorted(known))
                registry.enter(store, NAME, "rollback", number, known[number], by="dora", at=now())


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    context = dying.server()
    writers = [context.Process(target=turn, args=(store.root, 1)), threading.Thread(target=turn, args=(store.root, 2))]
    readers = Readers(store)
    with readers.looking():
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
    assert readers.failures == []
    assert len(registry.history(store, NAME)) > 50  # a chain in the order of time: it is read strictly
    assert readers.looks > 50
    assert len(readers.found) > 1
    assert readers.found <= set(whole(store).items())
    assert leftovers(ReadyVoice(tmp_path)) == []


def act(project: Path, acts: list[str]) -> None:
    """What people do, at once with others. Only that there is nothing to go back from is an expected refusal."""
    ready = ReadyVoice(project)
    for each in acts:
        try:
            if each == "promote":
                ready.promote()
            elif each == "withdraw":
                withdraw(ready.store)
            else:
                roll_back(ready, int(each))
        except VoiceFailure as failure:
            if "it was withdrawn" not in str(failure):
                raise


@pytest.mark.evaluation
def test_promote_against_rollback_against_withdraw(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    ready = copy_of(ready_voice, tmp_path / "project")
    assert (ready.promote().release, promote_next(ready)) == (1, 2)
    context = dying.server()
    writers = [
        context.Process(target=act, args=(ready.project, ["promote", "1", "promote"])),
        threading.Thread(target=act, args=(ready.project, ["1", "withdraw", "promote"])),
    ]
    readers = Readers(ready.store)
    with readers.looking(1):
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
    assert readers.failures == []
    assert [writer.exitcode for writer in writers if not isinstance(writer, threading.Thread)] == [0]
    assert readers.found <= set(whole(ready.store).items())
    for entry in registry.history(ready.store, NAME):
        if entry.release is not None:
            assert releases.problems(ready.store, NAME, entry.release, entry.facts()) == ()
    assert leftovers(ready) == []


@pytest.mark.evaluation
def test_the_same_voice_promoted_by_many_is_promoted_once(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    ready = copy_of(ready_voice, tmp_path / "project")
    assert installed_frontend("en-US") is not None
    failures: list[BaseException] = []

    def guarded(promote: Callable[[], object]) -> None:
        try:
            promote()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(ready.promote,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [one.release for one in registry.history(ready.store, NAME)] == [1]


@pytest.mark.evaluation
@pytest.mark.parametrize("what", ["promote", "1", "withdraw"])
def test_who_waits_too_long_is_told_so(
    ready_voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    ready = copy_of(ready_voice, tmp_path / "project")
    monkeypatch.setattr(registry, "LOCK_WAIT", 0.1)
    with exclusive(ready.store.promotion_lock(NAME), voice=NAME), pytest.raises(VoiceFailure) as caught:
        act(ready.project, [what])
    assert caught.value.reason == "voice_busy"
    assert "another process is promoting this voice" in str(caught.value)
