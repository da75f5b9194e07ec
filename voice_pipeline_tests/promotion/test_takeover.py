"""A store in which ``promoted`` is the folder itself, from before there were releases."""

from __future__ import annotations

import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import registry
from voice_pipeline_tests.promotion.bypass.attacks import flip
from voice_pipeline_tests.promotion.dying import killed_at
from voice_pipeline_tests.promotion.releasing import copy_of, digest_of_tree, leftovers, new_version, roll_back
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice

pytestmark = pytest.mark.evaluation


@pytest.fixture(scope="module")
def before(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> ReadyVoice:
    """What an earlier version left: {voice_bundle/, decision.json}; and a newer bundle that may be promoted."""
    ready = copy_of(ready_voice, tmp_path_factory.mktemp("before") / "project")
    ready.promote()
    store = ready.store
    former = store.promoted(NAME)
    former.unlink()
    shutil.move(store.release(NAME, 1), former)
    store.release(NAME, 1).parent.rmdir()
    store.promotions(NAME).unlink()
    for name in ("certificate.json", "statement.json"):
        (former / name).unlink()
    new_version(ready)
    return ready


@pytest.fixture
def voice(before: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return copy_of(before, tmp_path / "project")


def test_readers_say_what_to_do(voice: ReadyVoice) -> None:
    with pytest.raises(VoiceFailure, match=r"before there were releases; run: voice-pipeline promote ready"):
        registry.current(voice.store, NAME)


def test_the_next_promotion_takes_it_over_as_it_is(voice: ReadyVoice) -> None:
    former = digest_of_tree(voice.store.promoted(NAME))
    assert voice.promote().release == 2
    entries = registry.history(voice.store, NAME)
    assert [(one.action, one.release, one.certificate_hash is None) for one in entries] == [
        ("promote", 1, True),
        ("promote", 2, False),
    ]
    assert entries[0].reason == registry.TAKEN_OVER
    assert digest_of_tree(voice.store.release(NAME, 1)) == former
    assert voice.store.promoted(NAME).readlink() == Path("releases/000002")
    assert leftovers(voice) == []
    with pytest.raises(VoiceFailure, match="it has no certificate"):
        roll_back(voice)


def test_a_withdrawal_takes_it_out_of_service(voice: ReadyVoice) -> None:
    at = datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)
    entry = registry.withdraw(voice.store, NAME, by="dora", reason="asked for it", at=at)
    assert entry is not None and entry.seq == 2
    assert registry.current(voice.store, NAME) is None
    assert not voice.store.promoted(NAME).exists()


def test_a_damaged_one_is_named_and_left(voice: ReadyVoice) -> None:
    former = voice.store.promoted(NAME)
    flip(former / "voice_bundle/hifigan.nemo")
    with pytest.raises(VoiceFailure, match=r"is not whole: checksum_mismatch: hifigan\.nemo.*move it away") as caught:
        voice.promote()
    assert caught.value.file == str(former)
    assert former.is_dir() and registry.history(voice.store, NAME) == ()
    with pytest.raises(VoiceFailure):
        registry.withdraw(voice.store, NAME, by="dora", reason="asked for it", at=datetime.now(UTC))
    assert not former.exists()  # whatever it is, it is out of service


@pytest.mark.parametrize("point", ["before releases.publish", "after registry.append", "after links.finish"])
def test_a_killed_takeover_is_finished_by_the_next_promotion(voice: ReadyVoice, point: str) -> None:
    former = digest_of_tree(voice.store.promoted(NAME))
    assert killed_at(voice.project, point) == -signal.SIGKILL
    assert digest_of_tree(voice.store.promoted(NAME)) == former
    assert voice.promote().release == 2
    assert digest_of_tree(voice.store.release(NAME, 1)) == former
    assert leftovers(voice) == []
