"""Which sample is trained on when: a pure function of the seed and the step."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class ShuffledSamples(Sampler[int]):
    """Sample numbers of a whole training, epoch after epoch, each epoch in its own random order.

    Sample number `epoch * num_videos + video` says both which video and which of its clips (the clip planner reads the
    epoch), so the stream needs no state: a training that stopped goes on with the very next sample.

    Args:
        num_videos: Videos of an epoch.
        num_samples: Length of the stream of this process, over the whole training.
        seed: Of the orders.
        start: Samples of this process that were trained on already.
        rank: Which of `world_size` processes this is; each takes every `world_size`-th sample.
        world_size: Number of processes.
    """

    def __init__(
        self, *, num_videos: int, num_samples: int, seed: int, start: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.num_videos = num_videos
        self.num_samples = num_samples
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        epoch, order = -1, torch.empty(0)
        for position in range(self.start, self.num_samples):
            now, place = divmod(position * self.world_size + self.rank, self.num_videos)
            if now != epoch:
                epoch = now
                generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**63)
                order = torch.randperm(self.num_videos, generator=generator)
            yield epoch * self.num_videos + int(order[place])
