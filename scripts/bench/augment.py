"""Time of the augmentation beside kornia's VideoSequential, in turn, float32, one thread.

    pip install kornia                       # optional: without it, ours alone is timed
    python scripts/bench/augment.py          # under a minute

Both get uint8 clips (B, V, T, 3, 96, 96) in memory and give float clips of 64 pixels. Both do the same to every view,
with the same probabilities: crop and resize (bilinear), mirror, brightness, contrast, saturation and hue, greyscale,
Gaussian blur of 7 taps; the same parameters for all frames of a view. What differs: kornia changes colours one after
the other in a random order and clamps after each, ours are one matrix in one order, clamped once. Figures are medians;
the ratio is the median of the ratios of neighbouring runs, so that a busy machine slows both alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from videossl.data import Augment

INPUT_SIDE, SIDE = 96, 64


def kornia_augment() -> Callable[[Tensor], Tensor] | None:
    """The composition of kornia that matches the default `Augment`; None if kornia is not installed."""
    try:
        import kornia.augmentation as K  # how its documentation writes it
    except ImportError:
        return None
    ours = Augment(size=SIDE)
    changed = K.VideoSequential(
        K.RandomResizedCrop((SIDE, SIDE), scale=ours.scale, ratio=ours.ratio),
        K.RandomHorizontalFlip(p=ours.flip_probability),
        K.ColorJitter(ours.brightness, ours.contrast, ours.saturation, ours.hue, p=ours.jitter_probability),
        K.RandomGrayscale(p=ours.greyscale_probability),
        K.RandomGaussianBlur((7, 7), ours.blur_sigma, p=ours.blur_probability),
        data_format="BTCHW",
        same_on_frame=True,
    )
    return lambda clips: changed(clips.flatten(0, 1).float() / 255).unflatten(0, clips.shape[:2])


def milliseconds(run: Callable[[], object]) -> float:
    """Wall clock of one run."""
    begin = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - begin)


def main() -> None:
    """Print one line for each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = (options.videos, options.views, options.frames, 3, INPUT_SIDE, INPUT_SIDE)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8)
    ours, kornia = Augment(size=SIDE), kornia_augment()
    print(
        f"clips {shape} uint8 -> {SIDE} pixels, one thread, torch {torch.__version__}, {options.repeats} runs in turn"
    )
    times: dict[str, list[float]] = {"videossl": [], "kornia": []}
    for repeat in range(options.repeats + 2):
        for name, augment in (("videossl", ours), ("kornia", kornia)):
            if augment is not None:
                spent = milliseconds(lambda augment=augment: augment(clips))
                if repeat >= 2:  # the first ones warm up
                    times[name].append(spent)
    for name, spent in times.items():
        if spent:
            print(f"{name:10s} median {statistics.median(spent):8.1f} ms   fastest {min(spent):8.1f} ms")
    if kornia is None:
        print("kornia not installed: `pip install kornia` to compare")
        return
    ratios = [theirs / own for own, theirs in zip(times["videossl"], times["kornia"], strict=True)]
    print(f"kornia / videossl: {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
