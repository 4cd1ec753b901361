"""Gradients of the multi-view objectives in float32 and under bf16 autocast against float64, at large sizes.

    python scripts/bench/stability.py                                    # about 15 minutes on 2 cores
    python scripts/bench/stability.py --sizes 512x8x128 --temperatures 0.01

Prints the largest relative error of each row; exit code 1 if one is above 1e-3. The tests hold the same at sizes that
take seconds (tests/objectives/test_stability.py).
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "objectives"))
from low_precision import KINDS, batch, gradient, relative_error

from videossl.objectives import MVDHEL, MVInfoNCE

LIMIT = 1e-3
SIZES = ["4096x2x512", "4096x8x64", "1024x8x512"]


def objectives(temperature: float) -> dict[str, nn.Module]:
    """The default form, the printed forms, and the one with most terms."""
    return {
        "MVInfoNCE": MVInfoNCE(temperature),
        "MVInfoNCE, printed": MVInfoNCE(temperature, alignment="log_of_sum", energy="joint", same_view_negatives=True),
        "MVDHEL": MVDHEL(temperature),
    }


def main() -> int:
    """Print the table; 1 if a row is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxVxD")
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.01, 1.0])
    options = parser.parse_args()
    worst = 0.0
    print("| B x V x D | temperature | objective | batch | float32 | bf16 autocast |\n|---|---|---|---|---|---|")
    for size in options.sizes:
        num_videos, num_views, dim = map(int, size.split("x"))
        for temperature in options.temperatures:
            for name, step in objectives(temperature).items():
                for kind in KINDS:
                    z = batch(kind, (num_views, num_videos, dim))
                    exact = gradient(step, z.double())
                    single = relative_error(gradient(step, z), exact, z, temperature)
                    with torch.autocast("cpu", dtype=torch.bfloat16):
                        autocast = relative_error(gradient(step, z), exact, z, temperature)
                    worst = max(worst, single, autocast)
                    row = f"| {size} | {temperature} | {name} | {kind} | {single:.1e} | {autocast:.1e} |"
                    print(row, flush=True)
    print(f"\nLargest error: {worst:.1e}, limit {LIMIT:.0e}.")
    return int(not worst < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
