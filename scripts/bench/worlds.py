"""How fast worlds are drawn: clips a second of `sample`, and of all branches of contexts, on one thread.

    OMP_NUM_THREADS=1 python scripts/bench/worlds.py

Medians of 5, all measured in turn.
"""

import statistics
import time
from collections.abc import Callable

from videossl.worlds import World, preset

SETTINGS = [("digits", "one-8"), ("digits", "two-16"), ("maze", "steps-4"), ("maze", "steps-8"), ("billiards", "two")]
NUM_VIDEOS, NUM_CONTEXTS, NUM_ROUNDS = 500, 50, 5


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rounds(world: World) -> tuple[Callable[[int], float], Callable[[int], float]]:
    """Clips a second, of whole videos and of futures, drawn from a seed."""

    def videos(seed: int) -> float:
        return NUM_VIDEOS / seconds(lambda: world.sample(NUM_VIDEOS, seed))

    def futures(seed: int) -> float:
        truth = world.truth(NUM_CONTEXTS, seed)
        return NUM_CONTEXTS * world.num_branches / seconds(lambda: world.branches(truth))

    return videos, futures


def main() -> None:
    """Print a table."""
    worlds = [preset(*names).made() for names in SETTINGS]
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in worlds]
    for seed in range(NUM_ROUNDS):
        for world, (of_videos, of_futures) in zip(worlds, found, strict=True):
            videos, futures = rounds(world)
            of_videos.append(videos(seed))
            of_futures.append(futures(seed))
    print("| world | frames | videos a second | branches a second |\n|---|---|---|---|")
    for names, world, (of_videos, of_futures) in zip(SETTINGS, worlds, found, strict=True):
        frames = f"{world.num_frames} and {world.num_frames - world.branch_frame}"
        rates = " | ".join(f"{statistics.median(each):,.0f}" for each in (of_videos, of_futures))
        print(f"| {' '.join(names)} | {frames} | {rates} |")


if __name__ == "__main__":
    main()
