from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videossl.training.samples import ShuffledSamples


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 3))
def test_every_video_comes_once_an_epoch_whatever_the_number_of_processes(num_videos, world_size, seed):
    per_process = 3 * num_videos
    streams = [
        list(
            ShuffledSamples(num_videos=num_videos, num_samples=per_process, seed=seed, rank=rank, world_size=world_size)
        )
        for rank in range(world_size)
    ]
    together = [sample for step in zip(*streams, strict=True) for sample in step]
    for epoch in range(3):
        of_epoch = together[epoch * num_videos : (epoch + 1) * num_videos]
        assert sorted(of_epoch) == list(range(epoch * num_videos, (epoch + 1) * num_videos))


@pytest.mark.parametrize("start", [0, 1, 7, 24])
def test_a_stream_that_stopped_goes_on_with_the_very_next_sample(start):
    whole = list(ShuffledSamples(num_videos=9, num_samples=25, seed=1))
    rest = ShuffledSamples(num_videos=9, num_samples=25, seed=1, start=start)
    assert list(rest) == whole[start:]
    assert len(rest) == 25  # Lightning counts the batches of the whole training


def test_epochs_and_seeds_differ_in_order():
    def orders(seed):
        samples = list(ShuffledSamples(num_videos=20, num_samples=40, seed=seed))
        return samples[:20], [sample - 20 for sample in samples[20:]]

    first, second = orders(0)
    assert first != second
    assert orders(1)[0] != first


@given(st.integers(1, 30), st.integers(0, 3))
def test_equal_weights_change_nothing(num_videos, seed):
    plain, weighted = (
        list(ShuffledSamples(num_videos=num_videos, num_samples=3 * num_videos, seed=seed, weights=weights))
        for weights in (None, [2.5] * num_videos)
    )
    assert plain == weighted


@given(st.lists(st.floats(0, 10).map(lambda weight: round(weight, 3)), min_size=1, max_size=20), st.integers(0, 3))
def test_weighted_videos_come_as_often_as_they_should_in_every_epoch(weights, seed):
    n = len(weights)
    if sum(weights) == 0:
        with pytest.raises(ValueError, match="not all 0"):
            ShuffledSamples(num_videos=n, num_samples=n, seed=seed, weights=weights)
        return
    samples = list(ShuffledSamples(num_videos=n, num_samples=20 * n, seed=seed, weights=weights))
    for epoch in range(20):
        drawn = Counter(sample % n for sample in samples[epoch * n : (epoch + 1) * n])
        for video, weight in enumerate(weights):
            assert abs(drawn[video] - n * weight / sum(weights)) < 1 + 1e-9
            assert weight > 0 or drawn[video] == 0


def test_weights_are_kept_on_average_and_clips_do_not_come_twice():
    weights = [3.0, 1.0, 0.5, 0.5, 2.2, 0.0, 1.0]
    num_epochs = 400
    samples = list(ShuffledSamples(num_videos=7, num_samples=7 * num_epochs, seed=1, weights=weights))
    assert len(set(samples)) == len(samples)
    shares = Counter(sample % 7 for sample in samples)
    for video, weight in enumerate(weights):
        assert shares[video] / len(samples) == pytest.approx(weight / sum(weights), abs=0.006)
    assert samples[7:14] != sorted(samples[7:14])


@pytest.mark.parametrize("start", [1, 7, 24])
def test_a_weighted_stream_goes_on_with_the_very_next_sample_in_every_process(start):
    options = {"num_videos": 9, "num_samples": 25, "seed": 1, "weights": [1, 5, 0.1, 2, 2, 1, 1, 0, 1]}
    one = list(ShuffledSamples(**(options | {"num_samples": 50})))
    ranks = [list(ShuffledSamples(**options, rank=rank, world_size=2)) for rank in range(2)]
    assert [sample for pair in zip(*ranks, strict=True) for sample in pair] == one
    for rank in range(2):
        assert list(ShuffledSamples(**options, rank=rank, world_size=2, start=start)) == ranks[rank][start:]


def test_weights_that_are_none_are_refused():
    for weights in ([1.0], [1.0, -1.0], [1.0, float("nan")], [0.0, 0.0]):
        with pytest.raises(ValueError, match="expected 2 weights of 0 or more"):
            ShuffledSamples(num_videos=2, num_samples=2, seed=0, weights=weights)


def test_batches_are_full_and_begin_anywhere():
    samples = ShuffledSamples(num_videos=5, num_samples=11, seed=0, start=1)
    batches = list(samples.batches(3))
    assert [sample for batch in batches for sample in batch] == list(samples)[:9]
    assert list(samples.batches(3, skip=2)) == batches[2:]
