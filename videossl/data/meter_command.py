"""`videossl bench data`: measure the way of the data with the settings of a training, and say what to change."""

import os
from collections import Counter
from dataclasses import replace

import torch

from videossl.data.augment import Augment
from videossl.data.index import VideoIndex
from videossl.data.meter import advice, measure_costs, measure_rate, on_device, table, worker_counts
from videossl.data.settings import DataSettings
from videossl.data.stored import is_stored
from videossl.errors import UsageError


def bench_data(
    data: DataSettings, augment: Augment, *, batch_size: int, num_workers: int, num_batches: int, seed: int, device: str
) -> None:
    """Print where the time of a sample goes, samples per second by number of workers, and one line of advice.

    Args:
        data: Section `data` of the config.
        augment: Section `augment` of the config.
        batch_size: Videos of a batch.
        num_workers: Of the config.
        num_batches: Batches per measurement.
        seed: Of split and clips.
        device: Where augmentation runs: "cpu", "cuda", "mps".

    Raises:
        UsageError: No video to measure with.
    """
    if num_batches < 1:
        raise UsageError(f"expected batches of at least 1, got {num_batches}.")
    index = VideoIndex.build(
        data.videos, heldout_share=data.heldout_share, seed=seed, num_workers=max(1, num_workers, os.cpu_count() or 1)
    )
    train = index.split("train")
    bare = replace(data, cache_gib=0.0, isolate=False)
    here = bare.views(train, seed=seed)
    isolated = replace(data, cache_gib=0.0).views(train, seed=seed) if data.isolate else here
    run = on_device(augment, torch.device(device))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    costs = measure_costs(here, isolated, run, batch_size=batch_size, num_batches=num_batches)
    torch.set_num_threads(threads)
    rates = [
        measure_rate(isolated, run, batch_size=batch_size, num_batches=num_batches, num_workers=workers)
        for workers in worker_counts(num_workers, os.cpu_count() or 1)
    ]
    kept = data.views(train, seed=seed).num_cached
    size, _ = Counter((video.width, video.height) for video in train).most_common(1)[0]
    picture = f"{size[0]}x{size[1]} pixels"
    share = kept / len(here)
    print(
        f"{len(here)} videos (most {picture}), {data.clips.num_views} views of {data.clips.num_frames} frames at "
        f"{data.frame_size} pixels, batches of {batch_size}; nothing kept in memory while measuring"
    )
    print(table(costs, rates, num_workers=num_workers))
    if kept:
        print(f"data.cache_gib={data.cache_gib:g}: {share:.0%} of the videos are decoded once and kept in memory")
    line = advice(
        costs, rates, num_workers=num_workers, is_store=is_stored(here.videos[0].media), cached_share=share,
        picture=picture,
    )  # fmt: skip
    print(f"advice: {line}")
