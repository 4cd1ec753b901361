"""Videos for the measurements in data.py: the same pictures at two sizes and with key frames at three distances."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.frame import VideoFrame

FRAMES_PER_SECOND = 25
SIZES = {"720p": (1280, 720), "240p": (320, 240)}
KEY_FRAME_DISTANCES = (12, 60, 250)
LONG_FRAMES, SHORT_FRAMES = 1500, 125  # a minute, and five seconds


class BenchFile(NamedTuple):
    """A video to measure with."""

    path: Path
    size: str
    key_frame_distance: int
    num_frames: int


def make_files(source: Path, folder: Path) -> list[BenchFile]:
    """Encode a minute and five seconds at each size and key frame distance; files that are there are kept.

    H.264 as x264 makes it when nobody asks for anything (B frames, CABAC, crf 23), closed groups of pictures.

    Args:
        source: A video, or an archive (a wheel) with videos of which the largest is taken.
        folder: Where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[VideoFrame] = []
    files = []
    for size, (width, height) in SIZES.items():
        for distance in KEY_FRAME_DISTANCES:
            for num_frames in (SHORT_FRAMES, LONG_FRAMES):
                path = folder / f"{source.stem[:12]}-{size}-gop{distance}-{num_frames}.mp4"
                if not path.exists():
                    pictures = pictures or _pictures(unpacked(source, folder))
                    _encode(path, pictures, width, height, distance, num_frames)
                files.append(BenchFile(path, size, distance, num_frames))
    return files


def unpacked(source: Path, folder: Path) -> Path:
    """The video itself, taken out of the archive if it lies in one."""
    if not zipfile.is_zipfile(source):
        return source
    with zipfile.ZipFile(source) as archive:
        videos = [info for info in archive.infolist() if info.filename.endswith(".mp4")]
        return Path(archive.extract(max(videos, key=lambda info: info.file_size), folder))


def _pictures(source: Path) -> list[VideoFrame]:
    with av.open(str(source)) as container:
        return [frame.reformat(format="yuv420p") for frame in container.decode(video=0)]


def _encode(path: Path, pictures: list[VideoFrame], width: int, height: int, distance: int, num_frames: int) -> None:
    """250 frames, there and back, are encoded; longer files repeat their packets."""
    num_encoded = min(250, num_frames)
    there_and_back = pictures + pictures[-2:0:-1]
    options = {"g": str(distance), "keyint_min": str(distance), "sc_threshold": "0", "x264-params": "open-gop=0"}
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        packets = []
        for number in range(num_encoded):
            frame = there_and_back[number % len(there_and_back)].reformat(width=width, height=height)
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            frame.pict_type = av.video.frame.PictureType.NONE
            packets += stream.encode(frame)
        packets += stream.encode(None)
        contents = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        time_base = packets[0].time_base
        frame_units = round(Fraction(1, FRAMES_PER_SECOND) / time_base)
        for start in range(0, num_frames, num_encoded):
            for data, pts, dts, is_key in contents:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, time_base, is_key
                packet.pts, packet.dts = pts + start * frame_units, dts + start * frame_units
                container.mux(packet)
    part.replace(path)


def times_of(path: Path) -> np.ndarray:
    """Presentation times in frames, sorted: to see that a file is what it should be."""
    with av.open(str(path)) as container:
        pts = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.size]
    return np.sort(np.array(pts)) * FRAMES_PER_SECOND
