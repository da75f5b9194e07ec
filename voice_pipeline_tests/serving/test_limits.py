from __future__ import annotations

import pytest

from voice_pipeline.failures import ConfigError
from voice_pipeline.serving.errors import ServingError
from voice_pipeline.serving.limits import MAX_CLIENTS, AudioCache, AudioKey, RateLimit
from voice_pipeline.serving.speaking import Limits


def key(text: str, voice: str = "ready") -> AudioKey:
    return AudioKey(voice, "a" * 64, text, 1.0)


def test_the_cache_holds_no_more_than_its_bytes_and_drops_what_was_not_used() -> None:
    cache = AudioCache(100)
    for text in "abcd":
        cache.put(key(text), bytes(25))
    assert cache.get(key("a")) is not None
    cache.put(key("e"), bytes(20))
    assert [text for text in "abcde" if cache.get(key(text)) is not None] == ["a", "c", "d", "e"]
    assert cache.bytes == 95


def test_one_long_speech_does_not_empty_the_cache() -> None:
    cache = AudioCache(100)
    cache.put(key("a"), bytes(20))
    cache.put(key("long"), bytes(26))
    assert cache.get(key("long")) is None and cache.get(key("a")) is not None


def test_putting_the_same_audio_twice_counts_once() -> None:
    cache = AudioCache(100)
    for _ in range(3):
        cache.put(key("a"), bytes(20))
    assert cache.bytes == 20


def test_a_voice_is_forgotten_and_no_other() -> None:
    cache = AudioCache(100)
    cache.put(key("a"), bytes(10))
    cache.put(key("a", "other"), bytes(10))
    cache.forget("ready")
    assert cache.get(key("a")) is None and cache.get(key("a", "other")) is not None
    assert cache.bytes == 10


def test_other_content_text_or_pace_is_other_audio() -> None:
    cache = AudioCache(100)
    cache.put(key("a"), b"x")
    assert cache.get(AudioKey("ready", "b" * 64, "a", 1.0)) is None
    assert cache.get(AudioKey("ready", "a" * 64, "a", 1.1)) is None


def test_a_client_has_its_burst_and_then_its_rate() -> None:
    now = [0.0]
    rate = RateLimit(2.0, 3, clock=lambda: now[0])
    for _ in range(3):
        rate.take("one")
    with pytest.raises(ServingError) as caught:
        rate.take("one")
    assert (caught.value.code, caught.value.status) == ("voice_rate_limited", 429)
    assert caught.value.response().headers["retry-after"] == "1"
    rate.take("other")
    now[0] = 0.5
    rate.take("one")
    with pytest.raises(ServingError):
        rate.take("one")
    now[0] = 1000.0
    for _ in range(3):
        rate.take("one")
    with pytest.raises(ServingError):
        rate.take("one")


def test_the_rates_of_many_clients_take_bounded_memory() -> None:
    rate = RateLimit(1.0, 1)
    for number in range(MAX_CLIENTS + 100):
        rate.take(str(number))
    assert len(rate._buckets) == MAX_CLIENTS


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"waiting": -1},
        {"voices": 0},
        {"cache_bytes": -1},
        {"burst": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"per_second": float("inf")},
    ],
)
def test_limits_that_let_nothing_through_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]
