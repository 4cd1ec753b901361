"""Where the time of a sample goes on its way from the file to the model, and what to change."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from videossl.data.dataset import VideoViews, collate
from videossl.data.stopwatch import measuring

ENOUGH_WAIT_SHARE = 0.1  # nobody needs advice below
WORTH_A_WORKER = 1.15  # times as many samples a second with twice the workers, or the cores are busy
MOST_OF_IT = 0.4


@dataclass(frozen=True)
class Costs:
    """Milliseconds that one sample costs, in one process and without a cache.

    Attributes:
        open_ms: Opening the file and finding its frames.
        seek_ms: Jumping to key frames; 0 for readers that do not tell, and for files that are small enough to be read
            whole when they are opened.
        decode_ms: Decoding; with the others, where the reader does not tell them apart.
        convert_ms: Colour conversion and resizing.
        plan_ms: Choosing frames, copying them into views.
        isolate_ms: Sending frames from the process that decodes; 0 if it is the same.
        collate_ms: Making one batch of the samples.
        augment_ms: Augmentation on the device.
    """

    open_ms: float
    seek_ms: float
    decode_ms: float
    convert_ms: float
    plan_ms: float
    isolate_ms: float
    collate_ms: float
    augment_ms: float

    @property
    def rows(self) -> list[tuple[str, float]]:
        """(what, ms) in the order of their happening."""
        decode = "decode" if self.convert_ms else "seek + decode + convert"
        return [
            ("open", self.open_ms),
            ("seek", self.seek_ms),
            (decode, self.decode_ms),
            ("convert + resize", self.convert_ms),
            ("plan + copy", self.plan_ms),
            ("from the decoder's process", self.isolate_ms),
            ("collate", self.collate_ms),
            ("augment", self.augment_ms),
        ]

    @property
    def total_ms(self) -> float:
        """All of it."""
        return sum(milliseconds for _, milliseconds in self.rows)


@dataclass(frozen=True)
class Rate:
    """What a loader delivers.

    Attributes:
        num_workers: Its processes.
        samples_per_second: Loaded, augmentation included.
        wait_share: Part of the time in which the consumer, who does nothing but augment, waited.
    """

    num_workers: int
    samples_per_second: float
    wait_share: float


def measure_costs(
    here: VideoViews, isolated: VideoViews, augment: Callable[[Tensor], object], *, batch_size: int, num_batches: int
) -> Costs:
    """Read samples one after the other and see where the time goes.

    Args:
        here: Views without cache and isolation.
        isolated: The same with isolation, or `here` itself where there is none.
        augment: (B, V, T, C, H, W) uint8, on the device, to the input of the model.
        batch_size: Samples of a batch.
        num_batches: Batches to read.
    """
    here[0], isolated[0], augment(collate([here[0]]).clips)  # libraries are loaded, processes started
    read_seconds = isolated_seconds = collate_seconds = augment_seconds = 0.0
    count = batch_size * num_batches
    with measuring() as inside:
        for number in range(num_batches):
            began = time.perf_counter()
            samples = [here[sample] for sample in range(number * batch_size, (number + 1) * batch_size)]
            read_seconds += (read := time.perf_counter()) - began
            batch = collate(samples)
            collate_seconds += (collated := time.perf_counter()) - read
            augment(batch.clips)
            augment_seconds += time.perf_counter() - collated
        parts = dict(inside)
    if isolated is not here:
        began = time.perf_counter()
        for number in range(count):
            isolated[number]
        isolated_seconds = time.perf_counter() - began - read_seconds
    opened, sought, read, converted = (parts.get(name, 0.0) for name in ("open", "seek", "read", "convert"))
    per_sample = 1000 / count
    return Costs(
        open_ms=opened * per_sample,
        seek_ms=sought * per_sample,
        decode_ms=(read - sought - converted) * per_sample,
        convert_ms=converted * per_sample,
        plan_ms=max(0.0, read_seconds - opened - read) * per_sample,
        isolate_ms=max(0.0, isolated_seconds) * per_sample,
        collate_ms=collate_seconds * per_sample,
        augment_ms=augment_seconds * per_sample,
    )


def measure_rate(
    views: VideoViews, augment: Callable[[Tensor], object], *, batch_size: int, num_batches: int, num_workers: int
) -> Rate:
    """Load and augment batches; the time until the first one is there does not count."""
    loader: DataLoader[object] = DataLoader(
        views,
        batch_size=batch_size,
        sampler=range((num_batches + 1) * batch_size),
        num_workers=num_workers,
        collate_fn=collate,
    )
    batches = iter(loader)
    next(batches)
    waited, began = 0.0, time.perf_counter()
    for _ in range(num_batches):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        augment(batch.clips)
    seconds = max(time.perf_counter() - began, 1e-9)
    return Rate(num_workers, num_batches * batch_size / seconds, waited / seconds)


def advice(
    costs: Costs, rates: Sequence[Rate], *, num_workers: int, is_store: bool, cached_share: float, picture: str
) -> str:
    """What to change, in one line.

    Args:
        costs: See `measure_costs`.
        rates: By number of workers, increasing.
        num_workers: Of the config; one of the rates is of so many.
        is_store: Whether the videos lie in a store.
        cached_share: Share of the videos of which decoded frames are kept in memory after they were read once.
        picture: Size of the videos in words.
    """
    now = next(rate for rate in rates if rate.num_workers == num_workers)
    best = max(rates, key=lambda rate: rate.samples_per_second)
    if now.wait_share < ENOUGH_WAIT_SHARE:
        return "augmentation alone takes longer than loading: nothing to change about the data."
    if cached_share >= 1:
        return "all frames are kept in memory after the first epoch: only that one is slow. Nothing to change."
    if best.samples_per_second > WORTH_A_WORKER * now.samples_per_second:
        times = best.samples_per_second / now.samples_per_second
        return f"set training.num_workers={best.num_workers}: {times:.1f} times as many samples a second."
    if is_store:
        return "the frames lie in a store already, and copying takes the time: fewer or smaller frames would help most."
    decoding = costs.open_ms + costs.seek_ms + costs.decode_ms + costs.convert_ms
    if decoding >= MOST_OF_IT * costs.total_ms:
        return (
            f"opening and decoding {picture} takes {decoding / costs.total_ms:.0%} of a sample: decode once with "
            "`videossl cache --videos ... --out F --frame_size ...` and train on data.videos=F."
        )
    if costs.augment_ms >= MOST_OF_IT * costs.total_ms:
        return "augmentation takes most of the time: train on a GPU, or lower augment.size or augment.blur_probability."
    return "no part stands out. Fewer frames a view or fewer views would help most."


def worker_counts(asked: int, num_cores: int) -> list[int]:
    """Numbers of workers to try: that of the config, 0, 1, 2, 4 ... up to the cores."""
    powers = [2**power for power in range(num_cores.bit_length()) if 2**power <= num_cores]
    return sorted({0, asked, *powers})


def table(costs: Costs, rates: Sequence[Rate], *, num_workers: int) -> str:
    """The measurements as text."""
    lines = ["one sample, in one process:"]
    for what, milliseconds in costs.rows:
        if milliseconds:
            lines.append(f"  {what:<27}{milliseconds:9.2f} ms {milliseconds / costs.total_ms:5.0%}")
    lines.append(f"  {'together':<27}{costs.total_ms:9.2f} ms")
    lines.append("loader and augmentation:")
    for rate in rates:
        mark = "  <- training.num_workers" if rate.num_workers == num_workers else ""
        wait = 1000 / rate.samples_per_second * rate.wait_share
        lines.append(
            f"  {rate.num_workers:>2} workers {rate.samples_per_second:9.1f} samples/s, "
            f"wait {wait:8.2f} ms a sample ({rate.wait_share:.0%}){mark}"
        )
    return "\n".join(lines)


def on_device(augment: torch.nn.Module, device: torch.device) -> Callable[[Tensor], object]:
    """Augmentation that is finished when it returns."""
    module = augment.to(device)

    def run(clips: Tensor) -> object:
        with torch.no_grad():
            views = module(clips.to(device))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return views

    return run
