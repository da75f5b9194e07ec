"""What the attacks share: each is done to a copy of a voice that would be promoted, and is refused for a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.build import facts_digest
from voice_pipeline.bundle.format import content_digest, read_manifest
from voice_pipeline.evaluation.format import digest_of
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import registry
from voice_pipeline.store import sha256_file
from voice_pipeline_tests.ready_voice import CONFIG, NAME, TODAY, ReadyVoice, edit_json

Attack = Callable[[ReadyVoice], None]


class Attacks:
    """The attacks of one file: the reason of their refusal, words of the blocker, and what is done."""

    def __init__(self) -> None:
        self._cases: list[tuple[str, str, Attack]] = []

    def attack(self, reason: str, told: str) -> Callable[[Attack], Attack]:
        """Keep an attack that must be refused with ``reason`` and a text that holds ``told``."""

        def keep(function: Attack) -> Attack:
            self._cases.append((reason, told, function))
            return function

        return keep

    @property
    def each(self) -> Any:
        """The mark of a test that tries each of them."""
        ids = [act.__name__ for _, _, act in self._cases]
        return pytest.mark.parametrize(("reason", "told", "act"), self._cases, ids=ids)


def assert_refused(ready: ReadyVoice, reason: str, told: str, today: date = TODAY) -> None:
    """A promotion now names this blocker, and nothing is promoted."""
    blockers = blockers_of(ready, today)
    assert any(blocker.startswith(f"{reason}: ") and told in blocker for blocker in blockers), blockers


def blockers_of(ready: ReadyVoice, today: date = TODAY) -> list[str]:
    """All blockers of a promotion that is refused."""
    with pytest.raises(VoiceFailure) as caught:
        ready.promote(today)
    assert registry.current_folder(ready.store, NAME) is None
    assert not ready.store.promoted(NAME).is_symlink()
    assert not ready.store.release(NAME, 1).exists()
    decision = read_json(ready.store.promotion_decision(NAME))
    assert decision["go"] is False
    assert caught.value.reason == decision["blockers"][0].split(":")[0]
    return [str(blocker) for blocker in decision["blockers"]]


def flip(path: Path) -> None:
    """One bit, in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(data))


def consent(ready: ReadyVoice, **changes: object) -> None:
    """Change the consent in the voice's config."""
    ready.configure(consent={**CONFIG["consent"], **changes})


def forge_evaluation(ready: ReadyVoice, evaluation: dict[str, object]) -> None:
    """Put an evaluation everywhere it is stored, with digests and record that fit it."""
    evaluation["digest"] = digest_of(evaluation)
    text = json.dumps(evaluation, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    stored = ready.store.evaluation(NAME) / "evaluation.json"
    for path in (stored, ready.bundle / "evaluation.json"):
        path.unlink()
        path.write_text(text)
    changes = {"evaluation_sha256": sha256_file(stored), "digest": evaluation["digest"]}
    edit_json(ready.store.record(NAME, "voice_evaluation"), **changes)
    ready.seal()


def forge_bundle_record(ready: ReadyVoice) -> None:
    """Let the record of voice_bundle say that it built what is there."""
    digests = {
        "content_digest": content_digest(ready.bundle),
        "facts_digest": facts_digest(read_manifest(ready.bundle)),
    }
    edit_json(ready.store.record(NAME, "voice_bundle"), **digests)


def replace_file(path: Path, source: Path) -> None:
    """Put a copy of ``source`` in the place of ``path``."""
    path.unlink(missing_ok=True)
    shutil.copyfile(source, path)
