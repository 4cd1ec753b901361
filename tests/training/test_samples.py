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
