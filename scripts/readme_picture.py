"""The picture at the top of README.md, from an evaluated run.

python scripts/readme_picture.py runs/quickstart docs/futures.png
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, PAPER, BLUE, GREY = "#1c2128", "#ffffff", "#2a6fdb", "#8b949e"


def draw(run: Path, out: Path) -> None:
    """One context, all of its possible futures, and how often the model samples each."""
    arrays = np.load(run / "evaluation" / "gallery.npz")
    hits = arrays["branch_hits"]
    shown = int((hits > 0).sum(axis=1).argmax())  # the first of the contexts whose futures were found most completely
    context, branches, counts = arrays["context"][shown], arrays["branches"][shown], hits[shown]
    num_branches, num_frames = branches.shape[:2]
    figure = Figure(figsize=(10.4, 0.52 * num_branches + 0.9), facecolor=PAPER)
    FigureCanvasAgg(figure)
    top, low = 0.86, 0.02
    row = (top - low) / num_branches
    aspect = figure.get_figheight() / figure.get_figwidth()

    def strip(clip: np.ndarray, left: float, bottom: float, height: float) -> float:
        width = height * aspect
        for frame in clip:
            axes = figure.add_axes((left, bottom, width, height))
            axes.imshow(frame, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            left += width * 1.04
        return left

    big = 1.6 * row
    middle = (top + low) / 2
    end = strip(context, 0.02, middle - big / 2, big)
    figure.text(0.02, 0.93, "the context: four frames", color=INK, fontsize=12, weight="bold")
    futures_left = 0.48
    figure.text(futures_left, 0.93, "all that can follow", color=INK, fontsize=12, weight="bold")
    bars_left = 0.48 + num_frames * row * aspect * 0.98 + 0.03
    figure.text(bars_left, 0.93, f"what the model samples ({counts.sum()})", color=BLUE, fontsize=12, weight="bold")
    bars = figure.add_axes((0, 0, 1, 1), facecolor="none")
    bars.set_xlim(0, 1)
    bars.set_ylim(0, 1)
    bars.axis("off")
    widest = 0.95 - bars_left
    for number in range(num_branches):
        bottom = top - (number + 1) * row
        centre = bottom + row / 2
        bars.plot([end + 0.005, futures_left - 0.008], [middle, centre], color=GREY, linewidth=1)
        strip(branches[number], futures_left, bottom + 0.05 * row, 0.9 * row)
        length = widest * counts[number] / counts.max()
        bars.barh(centre, length, height=0.5 * row, left=bars_left, color=BLUE)
        bars.text(bars_left + length + 0.008, centre, str(counts[number]), va="center", color=INK, fontsize=10)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, facecolor=PAPER)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: python {sys.argv[0]} RUN OUT.png")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
