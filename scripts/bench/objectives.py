"""Time and memory of the multi-view objectives beside their alternatives, forward + backward, float32, one thread.

    python scripts/bench/objectives.py                  # the table of the README, about 6 minutes
    python scripts/bench/objectives.py --repeats 3 --videos 256 --large 0     # a quick look

What is compared is timed in turn in one run; figures are medians, ratios are ratios of medians. Memory is the growth
of the peak of a fresh process over what it held before the step, inputs and their gradients not counted.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

# The printed formulas as the authors compute them: shared with the tests that show where they end.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "objectives"))
import published

from videossl.objectives import ViewGraph, mv_dhel, mv_infonce

TEMPERATURE = 0.1
PRINTED = {"alignment": "log_of_sum", "energy": "joint", "same_view_negatives": True}


@dataclass(frozen=True)
class Size:
    """Batch of the comparison."""

    videos: int
    views: int
    dim: int

    def embeddings(self) -> Tensor:
        """(V, B, D)."""
        return torch.randn(self.views, self.videos, self.dim, generator=torch.Generator().manual_seed(0))

    def predictions(self) -> Tensor:
        """(P, B, D)."""
        num_pairs = self.views * (self.views - 1)
        return torch.randn(num_pairs, self.videos, self.dim, generator=torch.Generator().manual_seed(1))


def whole_matrix_mv_infonce(embeddings: Tensor) -> Tensor:
    """As one would write it: all similarities at once, log-sum-exp over them."""
    num_views, num_videos, dim = embeddings.shape
    points = F.normalize(embeddings, dim=-1).reshape(-1, dim)
    logits = (points @ points.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    grid = logits.view(num_views, num_videos, num_views, num_videos)
    positives = torch.diagonal(grid, dim1=1, dim2=3).reshape(-1, num_videos)  # (V V, B), own views -inf
    return (logits.logsumexp(1).view(num_views, num_videos).logsumexp(0) - positives.logsumexp(0)).mean()


def whole_matrix_mv_dhel(embeddings: Tensor) -> Tensor:
    """The same for MV-DHEL: (V, B, B) at once."""
    views = F.normalize(embeddings, dim=-1) / TEMPERATURE**0.5
    own = torch.eye(views.shape[1], dtype=torch.bool)
    energies = (views @ views.mT).masked_fill(own, -torch.inf).logsumexp(-1).sum(0)
    aligned = torch.einsum("lid,mid->lmi", views, views)
    pairs = torch.triu(torch.ones(len(views), len(views)), diagonal=1).bool()
    return (energies - aligned[pairs].logsumexp(0)).mean()


def edited(embeddings: Tensor, predictions: Tensor) -> Tensor:
    """MV-InfoNCE on one prediction a pair: what AdaSSL trains."""
    return mv_infonce(embeddings, temperature=TEMPERATURE, predictions=predictions)


@torch.no_grad()
def products_of_edited(embeddings: Tensor, predictions: Tensor) -> None:
    """The matrix products of `edited` and nothing else: logits, logits again in the backward pass, two gradients."""
    side = min(512, embeddings.shape[1])
    logits, gradient = torch.empty(side, side), torch.zeros_like(embeddings[0, :side])
    for prediction, (_, right) in zip(predictions, ViewGraph.all_pairs(len(embeddings)).pairs, strict=True):
        for anchors in prediction.split(side):
            for candidates in embeddings[right].split(side):
                tile = logits[: len(anchors), : len(candidates)]
                torch.mm(anchors, candidates.T, out=tile)
                torch.mm(anchors, candidates.T, out=tile)
                gradient[: len(anchors)].addmm_(tile, candidates)
                gradient[: len(candidates)].addmm_(tile.T, anchors)


STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "mv_infonce": lambda z: mv_infonce(z, temperature=TEMPERATURE, **PRINTED),
    "mv_infonce, whole matrix": whole_matrix_mv_infonce,
    "mv_infonce, as the authors compute it": lambda z: published.mv_infonce(z, TEMPERATURE),
    "mv_dhel": lambda z: mv_dhel(z, temperature=TEMPERATURE),
    "mv_dhel, whole matrices": whole_matrix_mv_dhel,
    "mv_dhel, as the authors compute it": lambda z: published.mv_dhel(z, TEMPERATURE),
}


def forward_backward(step: Callable[..., Tensor], *inputs: Tensor) -> None:
    """One step; gradients are made and dropped."""
    torch.autograd.grad(step(*inputs), inputs)


def in_turn(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median seconds of every step, one repetition of each after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if repetition > 0:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def extra_memory(name: str, size: Size) -> float:
    """MiB that a step needs beyond its inputs and their gradients, measured in a fresh process."""
    arguments = [sys.executable, __file__, "--memory_of", name, "--videos", str(size.videos)]
    arguments += ["--views", str(size.views), "--dim", str(size.dim)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return float(result.stdout)


def peak_mib() -> float:
    """Most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; what getrusage says there starts with the peak of the parent
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: bytes


def print_extra_memory(name: str, size: Size) -> None:
    """The child's side of `extra_memory`."""
    step = STEPS[name]
    forward_backward(step, Size(8, size.views, size.dim).embeddings().requires_grad_())  # everything is loaded
    embeddings = size.embeddings().requires_grad_()
    gradient = torch.zeros_like(embeddings)
    before = peak_mib()
    (result,) = torch.autograd.grad(step(embeddings), embeddings)
    gradient.copy_(result)
    print(peak_mib() - before - result.nbytes / 2**20)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=1024)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--large", type=int, default=8192, help="videos of the large batch, 8 views of 256 dimensions; 0: none"
    )
    parser.add_argument("--memory_of", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = Size(options.videos, options.views, options.dim)
    if options.memory_of:
        print_extra_memory(options.memory_of, size)
        return

    print(f"(B, V, D) = ({size.videos}, {size.views}, {size.dim}), float32, one thread, medians of {options.repeats}\n")
    print("| forward + backward | seconds | times ours | extra MiB | times ours |")
    print("|---|---|---|---|---|")
    embeddings = size.embeddings().requires_grad_()
    for ours in ("mv_infonce", "mv_dhel"):
        names = [name for name in STEPS if name.startswith(ours)]
        seconds = in_turn({n: lambda n=n: forward_backward(STEPS[n], embeddings) for n in names}, options.repeats)
        memory = {name: extra_memory(name, size) for name in names}
        for name in names:
            times, more = seconds[name] / seconds[ours], memory[name] / memory[ours]
            print(f"| {name} | {seconds[name]:.3f} | {times:.1f} | {memory[name]:.0f} | {more:.1f} |", flush=True)
    predictions = size.predictions().requires_grad_()
    pair_steps: dict[str, Callable[[], None]] = {
        "edited": lambda: forward_backward(edited, embeddings, predictions),
        "products": lambda: products_of_edited(embeddings, predictions),
    }
    seconds = in_turn(pair_steps, options.repeats)
    print(f"| mv_infonce, one prediction a pair | {seconds['edited']:.3f} | 1.0 | | |")
    print(
        f"| its matrix products alone | {seconds['products']:.3f} | {seconds['products'] / seconds['edited']:.2f} | | |"
    )
    print(f"\nOne prediction a pair takes {seconds['edited'] / seconds['products']:.2f} times its matrix products.")
    if options.large:
        large = Size(options.large, 8, 256)
        for name in ("mv_infonce", "mv_dhel"):
            start = time.perf_counter()
            memory_of_large, their_own = extra_memory(name, large), 2 * large.embeddings().nbytes / 2**20
            print(
                f"{name} of {large.videos * large.views:,} embeddings of {large.dim} dimensions: "
                f"{memory_of_large:.0f} MiB extra (they and their gradient: {their_own:.0f}), "
                f"{time.perf_counter() - start:.0f} s with the start of the process.",
                flush=True,
            )


if __name__ == "__main__":
    main()
