"""Which sample is trained on when: a pure function of the seed and the step."""

import math
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler


class ShuffledSamples(Sampler[int]):
    """Sample numbers of a whole training, epoch after epoch, each epoch in its own random order.

    Sample number `epoch * num_videos + video` says both which video and which of its clips (the clip planner reads the
    epoch), so the stream needs no state: a training that stopped goes on with the very next sample.

    With weights, an epoch is still `num_videos` samples, but video i comes `num_videos * weight[i] / sum(weights)`
    times on average, and in every epoch that number rounded up or down (systematic resampling). A video that comes
    several times in an epoch is cut at another place each time: its sample numbers count on as if epochs had gone by.

    Args:
        num_videos: Videos of an epoch.
        num_samples: Length of the stream of this process, over the whole training.
        seed: Of the orders.
        start: Samples of this process that were trained on already.
        rank: Which of `world_size` processes this is; each takes every `world_size`-th sample.
        world_size: Number of processes.
        weights: (num_videos,) How often each video comes, relative to the others, 0 or more; None or all equal: every
            video comes once an epoch.

    Raises:
        ValueError: Weights that are none.
    """

    def __init__(
        self,
        *,
        num_videos: int,
        num_samples: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.num_videos = num_videos
        self.num_samples = num_samples
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size
        self.expected = _expected(num_videos, weights)

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        epoch, order = -1, torch.empty(0, dtype=torch.int64)
        for position in range(self.start, self.num_samples):
            now, place = divmod(position * self.world_size + self.rank, self.num_videos)
            if now != epoch:
                epoch = now
                order = self._samples_of(epoch)
            yield int(order[place])

    def batches(self, batch_size: int, *, skip: int = 0) -> Iterator[list[int]]:
        """Full batches of the stream after the first `skip` ones; what is left over at the end is no batch."""
        rest = copy(self)
        rest.start += skip * batch_size
        samples = iter(rest)
        while len(batch := list(islice(samples, batch_size))) == batch_size:
            yield batch

    def _samples_of(self, epoch: int) -> torch.Tensor:
        """(num_videos,) int64, sample numbers of an epoch in their order."""
        generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**63)
        order = torch.randperm(self.num_videos, generator=generator)
        if self.expected is None:
            return epoch * self.num_videos + order
        # Videos lie side by side on a line, in random order, each as long as its expected number of samples. One sample
        # is taken where each whole number falls, after the line was shifted by a random part of one.
        line = self.expected[order.numpy()].cumsum()
        line *= self.num_videos / line[-1]  # to the last digit
        shift = torch.rand((), generator=generator, dtype=torch.float64).item()
        places = np.searchsorted(line, np.arange(self.num_videos) + shift, side="right")
        drawn = order[torch.from_numpy(places.clip(max=self.num_videos - 1))]
        num_times = torch.bincount(drawn, minlength=self.num_videos)
        videos = torch.arange(self.num_videos).repeat_interleave(num_times)
        first = (num_times.cumsum(0) - num_times).repeat_interleave(num_times)
        times = torch.arange(self.num_videos) - first  # the how-manieth sample of its video in this epoch
        epochs = epoch * math.ceil(self.expected.max()) + times
        samples = epochs * self.num_videos + videos
        return samples[torch.randperm(self.num_videos, generator=generator)]


def _expected(num_videos: int, weights: Sequence[float] | None) -> NDArray[np.float64] | None:
    """(num_videos,) samples of each video in an epoch on average; None if each comes once."""
    if weights is None:
        return None
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (num_videos,) or not np.isfinite(given).all() or (given < 0).any() or given.sum() == 0:
        raise ValueError(f"expected {num_videos} weights of 0 or more, not all 0, got {given}")
    return None if (given == given[0]).all() else given * (num_videos / given.sum())
