from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline.recordings.cleaning.speakers import Sample, find_voice


def people(*counts: int, spread: float = 0.5) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """(embeddings, whose each is, the people): some utterances of each of several people, in no order.

    People are about 0.65 like each other, utterances of one about 0.8, as the encoder's are.
    """
    random = np.random.default_rng(7)
    common = unit(random.standard_normal(256))
    those = np.stack([unit(common + 0.75 * unit(random.standard_normal(256))) for _ in counts])
    whose = random.permutation(np.repeat(np.arange(len(counts)), counts))
    spreads = np.stack([unit(random.standard_normal(256)) for _ in whose])
    found = those[whose] + spread * spreads
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), whose, those


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector))


@pytest.mark.parametrize("others", [(0,), (5,), (20,), (20, 20, 20), (90,)])
def test_the_voice_is_found_whoever_else_speaks(others: tuple[int, ...]) -> None:
    embeddings, whose, those = people(100, *others)
    voice = find_voice(embeddings)
    assert voice.centroid @ those[0] > 0.98
    assert np.linalg.norm(voice.centroid) == pytest.approx(1.0, abs=1e-5)
    similarities = embeddings @ voice.centroid
    assert similarities[whose == 0].min() > similarities[whose != 0].max(initial=-1.0)
    assert voice.share == pytest.approx(100 / (100 + sum(others)), abs=0.01)


def test_of_two_who_speak_as_much_it_is_one_and_nobody_between() -> None:
    embeddings, _, those = people(60, 60)
    likeness = those.astype(np.float32) @ find_voice(embeddings).centroid
    assert likeness.max() > 0.98
    assert likeness.min() < 0.75


def test_order_changes_nothing() -> None:
    embeddings, _, _ = people(100, 20)
    turned = find_voice(embeddings[::-1]).centroid
    assert find_voice(embeddings).centroid @ turned == pytest.approx(1.0, abs=1e-5)


def test_one_utterance_is_its_own_voice_and_none_is_an_error() -> None:
    embeddings, _, _ = people(1)
    assert find_voice(embeddings).centroid @ embeddings[0] == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ValueError, match="no embeddings"):
        find_voice(np.zeros((0, 256), np.float32))


def test_a_sample_does_not_depend_on_the_order() -> None:
    embeddings, _, _ = people(50)
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(50)]
    one, other = Sample(20), Sample(20)
    for key, embedding in zip(keys, embeddings, strict=True):
        one.add(key, embedding)
    for key, embedding in reversed(list(zip(keys, embeddings, strict=True))):
        other.add(key, embedding)
    assert one.embeddings().shape == (20, 256)
    assert np.array_equal(one.embeddings(), other.embeddings())
    assert Sample().embeddings().shape == (0, 256)
