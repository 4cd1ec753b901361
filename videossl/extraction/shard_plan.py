"""Which videos go into which shard. Planned before anything is read, so that a shard is done or not done at all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from videossl.data import Video
from videossl.extraction.sampling import Sampling


@dataclass(frozen=True)
class PlannedShard:
    """Videos that go into one shard, in this order."""

    number: int
    videos: tuple[Video, ...]


def planned(
    videos: Iterable[Video], sampling: Sampling, *, frames_per_shard: int, first_number: int
) -> Iterator[PlannedShard]:
    """Put whole videos together until they have so many sampled frames.

    Args:
        videos: Readable ones.
        sampling: How many frames are sampled of each.
        frames_per_shard: A shard ends with the video that reaches this number. What a kill costs, and what an engine of
            several machines gives to one of them.
        first_number: Of the first shard.
    """
    held: list[Video] = []
    num_frames = 0
    number = first_number
    for video in videos:
        held.append(video)
        num_frames += sampling.num_samples(video)
        if num_frames >= frames_per_shard:
            yield PlannedShard(number, tuple(held))
            held, num_frames, number = [], 0, number + 1
    if held:
        yield PlannedShard(number, tuple(held))
