from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.training.nemo.batches import BatchSchedule, Utterances, alignment_prior
from voice_pipeline.training.nemo.loop import learning_rate, stage_seed, step_seed
from voice_pipeline.training.recipe import Recipe, Schedule
from voice_pipeline_tests.training.conftest import Prepared

lengths = st.lists(st.integers(1, 900), min_size=1, max_size=200).map(tuple)


@given(lengths, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 5000))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_a_function_of_seed_and_step(items: tuple[int, ...], size: int, seed: int, step: int) -> None:
    schedule = BatchSchedule(items, size, seed)
    there = schedule.at(step)
    for other in (0, step + 1, 3):  # a detour over other steps changes nothing
        schedule.at(other)
    assert BatchSchedule(items, size, seed).at(step) == there
    assert len(there) == min(size, len(items))
    assert len(set(there)) == len(there)
    assert all(0 <= index < len(items) for index in there)


@given(lengths, st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_an_epoch_takes_no_utterance_twice_and_most_once(items: tuple[int, ...], size: int, seed: int) -> None:
    schedule = BatchSchedule(items, size, seed)
    taken = Counter(index for step in range(schedule.batches_per_epoch) for index in schedule.at(step))
    assert max(taken.values()) == 1
    assert len(items) - sum(taken.values()) < min(size, len(items)) or len(items) < size


@given(lengths.filter(lambda items: len(items) >= 8), st.integers(1, 4), st.integers(2, 4), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_ranks_share_a_batch_without_overlap(items: tuple[int, ...], size: int, world: int, step: int) -> None:
    shares = [BatchSchedule(items, size, 5, rank, world).at(step) for rank in range(world)]
    assert all(shares)
    if len(items) >= size * world:
        together = [index for share in shares for index in share]
        assert len(set(together)) == len(together) == size * world


def test_batches_hold_similar_lengths() -> None:
    items = tuple(int(x) for x in np.random.default_rng(0).integers(50, 800, 512))
    schedule = BatchSchedule(items, 16, 1)
    padded = total = 0
    for step in range(schedule.batches_per_epoch):
        batch = [items[index] for index in schedule.at(step)]
        padded += max(batch) * len(batch)
        total += sum(batch)
    assert padded / total < 1.15  # in random order it is about 1.8


def test_other_seeds_and_epochs_have_other_orders() -> None:
    items = tuple(range(1, 101))
    one = BatchSchedule(items, 10, 1)
    assert [one.at(step) for step in range(10)] != [BatchSchedule(items, 10, 2).at(step) for step in range(10)]
    assert [one.at(step) for step in range(10)] != [one.at(step) for step in range(10, 20)]


def test_a_padded_batch_holds_the_features(prepared: Prepared, tiny: Recipe) -> None:
    store, record = prepared.store, prepared.record
    data = Utterances.load(store, store.resolve(record.index), store.resolve(record.statistics), "train", tiny.audio)
    batch = data.acoustic_batch((0, 3, 5), pad=112)
    for row, index in enumerate((0, 3, 5)):
        found = data.features(index)
        symbols, frames = len(found["ids"]), found["mel"].shape[1]
        assert (batch.text_lengths[row], batch.mel_lengths[row]) == (symbols, frames)
        assert (batch.text[row, :symbols] == found["ids"]).all()
        assert (batch.text[row, symbols:] == 112).all()
        assert (batch.mel[row, :, :frames] == found["mel"]).all()
        assert not batch.mel[row, :, frames:].any()
        assert np.allclose(batch.prior[row, :frames, :symbols].sum(1), 1, atol=1e-3)
    voiced = np.concatenate([data.features(i)["pitch"] for i in range(len(data.items))])
    voiced = voiced[voiced != 0]
    assert abs(voiced.mean()) < 0.01
    assert abs(voiced.std() - 1) < 0.01


def test_a_segment_is_the_audio_of_its_mel(prepared: Prepared, tiny: Recipe) -> None:
    """The mel computed from the segment's own samples is that of the cache, but for the edges."""
    from voice_pipeline.training.mel import log_mel

    store, record = prepared.store, prepared.record
    data = Utterances.load(store, store.resolve(record.index), store.resolve(record.statistics), "train", tiny.audio)
    batch = data.vocoder_batch((0, 1, 2), 24, seed=1, step=0, rank=0)
    again = data.vocoder_batch((0, 1, 2), 24, seed=1, step=0, rank=0)
    assert (batch.audio == again.audio).all()
    assert not (batch.audio == data.vocoder_batch((0, 1, 2), 24, seed=1, step=1, rank=0).audio).all()
    for row in range(3):
        # The segment begins half a hop before the first frame's centre; drop that much to centre the frames again.
        own = log_mel(batch.audio[row, 128:], tiny.audio)
        assert np.abs(own[:, 3:20] - batch.mel[row][:, 3:20]).max() < 1e-2


def test_a_missing_index_is_a_classified_failure(prepared: Prepared, tiny: Recipe) -> None:
    store = prepared.store
    with pytest.raises(VoiceFailure) as caught:
        Utterances.load(store, store.root / "none.jsonl", store.root / "none.json", "train", tiny.audio)
    assert caught.value.reason == "empty_dataset"


def test_the_prior_leans_to_the_diagonal() -> None:
    prior = alignment_prior(10, 100)
    assert prior.shape == (100, 10)
    assert prior[0].argmax() == 0
    assert prior[50].argmax() in (4, 5)
    assert prior[99].argmax() == 9


def test_seeds_of_steps_differ() -> None:
    seeds = {
        step_seed(seed, stage, step, rank) for seed in (1, 2) for stage in "ab" for step in (0, 1) for rank in (0, 1)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert 0 <= stage_seed(1, "a") < 2**31


def test_the_learning_rate_rises_and_falls() -> None:
    schedule = Schedule(steps=100, batch_size=1, learning_rate=1e-3, final_learning_rate=1e-5, warmup_steps=10)
    rates = [learning_rate(schedule, step, steps=100, peak=1e-3) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(1e-5)
