"""Extraction measured against its own parts, and against the script that one writes first.

    python scripts/bench/extract.py            # about 2 minutes on 2 idle cores

Makes videos of H.264 at 1280x720 of the pictures of a clip of the tests, and extracts frame vectors at 112 pixels with
two untrained encoders: one that takes about as long as decoding, and a small one that decoding keeps waiting.
Everything is measured in turn, several times; medians are printed, in frames per second and in milliseconds of
processor time a frame (which another program on the machine does not lengthen). Indexing and loading the model are
left out of all.

decode     Reading all frames as extraction does, and nothing else; with one decoder, and with one for every core.
encode     The encoder on batches that lie ready; in one thread, and in one for every core.
extract    Extraction, from the files to finished Parquet shards.
script     Read a video with PyAV, resize its frames, loop over its windows, encode each, append; write all at the end.

Targets: extract is at least 0.9 times the slower of decode and encode, each alone on one core (both cores are in use:
one decodes while the other encodes), and at least 2.5 times the script. For information: the bound for cores that
decode and encode without ever waiting, 1 / (1 / decode + 1 / encode) with both on all cores; and the same ratios by
processor time, with the script on one core, for a machine on which others work too. Exit code 1 if a target is missed
(by the clock).
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from einops import rearrange

from videossl.data import PyAVReader, VideoIndex
from videossl.extraction import ExtractionSettings, extract
from videossl.extraction.encoding import BatchEncoder, batches
from videossl.extraction.in_order import in_order
from videossl.extraction.pieces import pieces
from videossl.extraction.reading import Clip, PieceReader
from videossl.models import MLPProjector, VideoTransformer, WorldModel

SOURCE = Path(__file__).resolve().parents[2] / "tests" / "data" / "real" / "bikes.mp4"
NUM_VIDEOS, NUM_FRAMES, WIDTH, HEIGHT = 6, 150, 1280, 720
CLIP_FRAMES, FRAME_SIZE, BATCH_SIZE = 8, 112, 16
MODELS = {"equal": {"width": 192, "depth": 4, "num_heads": 3}, "small": {"width": 96, "depth": 2, "num_heads": 3}}
LEAST_OF_SLOWER, LEAST_TIMES_SCRIPT = 0.9, 2.5
SETTINGS = ExtractionSettings(frame_size=FRAME_SIZE, clip_frames=CLIP_FRAMES)


def make_videos(folder: Path) -> list[Path]:
    """The same file under several names."""
    with av.open(str(SOURCE)) as container:
        pictures = [frame.reformat(WIDTH, HEIGHT, "yuv420p") for frame in container.decode(video=0)]
    there_and_back = pictures + pictures[-2:0:-1]
    paths = [folder / f"{number:03d}.mp4" for number in range(NUM_VIDEOS)]
    with av.open(str(paths[0]), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(NUM_FRAMES):
            frame = there_and_back[number % len(there_and_back)].reformat()
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.pict_type = av.video.frame.PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for path in paths[1:]:
        shutil.copy(paths[0], path)
    return paths


def script(paths: list[Path], model: WorldModel, out: Path) -> None:
    """What one writes first."""
    vectors, videos, frames = [], [], []
    for path in paths:
        with av.open(str(path)) as container:
            pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        left = (WIDTH - HEIGHT) // 2
        square = rearrange(torch.from_numpy(pictures[:, :, left : left + HEIGHT]), "t h w c -> t c h w")
        small = F.interpolate(square, size=(FRAME_SIZE, FRAME_SIZE), mode="bilinear", antialias=True)
        for start in range(0, len(small) - CLIP_FRAMES + 1, CLIP_FRAMES):
            vectors.append(model.embed(small[None, start : start + CLIP_FRAMES]).frames[0].numpy())
            videos += [path.name] * len(vectors[-1])
            frames += range(start, start + CLIP_FRAMES, model.encoder.tubelet_frames)
    embedding = np.concatenate(vectors)
    columns = {"video": videos, "frame": frames, "embedding": list(embedding)}
    pq.write_table(pa.table(columns), out / "script.parquet")


def decode(index: VideoIndex, model: WorldModel, num_workers: int) -> list[Clip]:
    """All clips, as extraction reads them."""
    sampling = SETTINGS.sampling(model)
    with PieceReader(PyAVReader, frame_size=FRAME_SIZE, isolate=True, deadline_seconds=10.0) as reader:
        videos = pieces(map(sampling.sampled, index), FRAME_SIZE)
        return list(chain.from_iterable(in_order(reader, videos, num_threads=num_workers, budget=NUM_VIDEOS)))


def encode(clips: list[Clip], model: WorldModel, num_threads: int) -> None:
    """The encoder alone, on clips that were decoded before."""
    encoder = BatchEncoder(model, level="frame", device="cpu", batch_size=BATCH_SIZE, threads_each=1)
    for _ in in_order(encoder, batches(clips, BATCH_SIZE), num_threads=num_threads, budget=num_threads + 1):
        pass


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(
    index: VideoIndex, paths: list[Path], model: WorldModel, folder: Path, repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of everything, measured in turn: frames per second, and milliseconds of processor time a frame."""
    cores = len(os.sched_getaffinity(0))
    clips = decode(index, model, cores)

    def extraction() -> None:
        shutil.rmtree(folder / "out", ignore_errors=True)
        extract(model, index, settings=SETTINGS, reader=PyAVReader, out=folder / "out", batch_size=BATCH_SIZE)

    jobs: dict[str, Callable[[], object]] = {
        "decode, 1 core": lambda: decode(index, model, 1),
        "encode, 1 core": lambda: encode(clips, model, 1),
        "extract": extraction,
        "script": lambda: script(paths, model, folder),
        f"decode, {cores} cores": lambda: decode(index, model, cores),
        f"encode, {cores} cores": lambda: encode(clips, model, cores),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    work: dict[str, list[float]] = {name: [] for name in jobs}
    threads = torch.get_num_threads()
    for repeat in range(repeats + 1):
        for name, job in jobs.items():
            torch.set_num_threads(1 if name.startswith("encode") else threads)
            began, began_work = time.perf_counter(), processor_seconds()
            job()
            if repeat:  # the first time warms up
                seconds[name].append(time.perf_counter() - began)
                work[name].append(processor_seconds() - began_work)
    torch.set_num_threads(threads)
    frames = NUM_VIDEOS * NUM_FRAMES
    return (
        {name: frames / statistics.median(times) for name, times in seconds.items()},
        {name: 1000 * statistics.median(times) / frames for name, times in work.items()},
    )


def main() -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="Measurements of everything.")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS), help="Encoders.")
    arguments = parser.parse_args()
    reached = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        paths = make_videos(folder / "videos")
        index = VideoIndex.build(folder / "videos", heldout_share=0.0)
        for size in arguments.models:
            torch.manual_seed(0)
            encoder = VideoTransformer(patch_size=16, tubelet_frames=2, **MODELS[size])  # type: ignore[arg-type]
            model = WorldModel(encoder, MLPProjector).eval().requires_grad_(False)
            rates, work = measure(index, paths, model, folder, arguments.repeats)
            print(f"\n{size} encoder ({MODELS[size]})\n| what | frames/s | processor ms a frame |\n|---|---|---|")
            for what, rate in rates.items():
                print(f"| {what} | {rate:.0f} | {work[what]:.2f} |")
            slower = min(rates["decode, 1 core"], rates["encode, 1 core"])
            on_all = [rate for what, rate in rates.items() if what.endswith("cores")]
            bound = 1 / sum(1 / rate for rate in on_all)
            of_slower, times_script = rates["extract"] / slower, rates["extract"] / rates["script"]
            print(f"extract is {of_slower:.2f} of the slower part on one core (at least {LEAST_OF_SLOWER}), ")
            print(f"{times_script:.2f} times the script (at least {LEAST_TIMES_SCRIPT}),")
            print(f"{rates['extract'] / bound:.2f} of the bound for all cores")
            expected = len(os.sched_getaffinity(0)) / work["extract"]  # frames a millisecond
            slower_part = 1 / max(work["decode, 1 core"], work["encode, 1 core"])
            print("By processor time, as if nothing else ran and no core ever waited:")
            print(f"{expected / slower_part:.2f} of the slower part, {expected * work['script']:.2f} times the script")
            reached &= of_slower >= LEAST_OF_SLOWER and times_script >= LEAST_TIMES_SCRIPT
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
