"""Videos into batches of clips: decoded once from the first frame to the last, in pieces, whatever their length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from videossl.data import ClipPlanner, VideoIndex
from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.isolated_reader import Readers
from videossl.data.media import Media
from videossl.extraction.windows import Window, cut
from videossl.types import Failure

PIECE_BYTES = 64 * 2**20  # of decoded frames held at a time: an hour of video does not fit into memory


@dataclass(frozen=True, eq=False)
class SampledVideo:
    """A video that is to be embedded.

    Attributes:
        name: Its stable name.
        media: Where it lies.
        label: Its class, None if it has none.
        frames: Number in the file of every sampled frame.
        seconds: Time of every sampled frame, from the first frame of the file.
        windows: The clips that it is cut into.
    """

    name: str
    media: Media
    label: str | None
    frames: np.ndarray
    seconds: np.ndarray
    windows: tuple[Window, ...]


@dataclass(frozen=True, eq=False)
class Clip:
    """One window of a video with its pixels, (T, H, W, 3) uint8."""

    video: SampledVideo
    window: Window
    pixels: np.ndarray


def sampled_videos(
    index: VideoIndex, *, frame_stride: int, target_fps: float | None, clip_frames: int, tubelet_frames: int
) -> list[SampledVideo]:
    """The readable videos of an index, sampled and cut into clips.

    Args:
        index: Videos.
        frame_stride: Every so many frames one is sampled: 0, s, 2s, ...
        target_fps: Sample by time instead: the frames nearest to 0, 1 / fps, 2 / fps, ... seconds.
        clip_frames: Frames of a clip.
        tubelet_frames: Frames that the encoder joins to one time step.
    """
    videos = []
    for video in index.readable:
        if target_fps is None:
            num_samples = -(-video.num_frames // frame_stride)
        else:
            num_samples = int(video.seconds[-1] * target_fps + 1e-6) + 1
        # One view as long as the video: frames are chosen by the same rule as in training.
        planner = ClipPlanner(
            num_views=1, num_frames=num_samples, frame_stride=frame_stride, target_fps=target_fps, short="pad"
        )
        plan = planner.plan_at(video.seconds, 0)
        windows = cut(num_samples, clip_frames=clip_frames, tubelet_frames=tubelet_frames)
        videos.append(
            SampledVideo(video.name, video.media, video.label, plan.frames[0], plan.seconds[0], tuple(windows))
        )
    return videos


def read_clips(
    videos: Iterable[SampledVideo], *, readers: Readers, frame_size: int, failures: list[Failure]
) -> Iterator[Clip]:
    """Yield the clips of all videos, in order.

    Args:
        videos: What to read.
        readers: What opens them.
        frame_size: Side of the square frames in pixels.
        failures: Videos that cannot be read, or not all of them, are added here with the number of clips that are lost.
    """
    for video in videos:
        causes: list[str] = []
        try:
            with readers.open(video.media) as opened:
                for piece in _pieces(video.windows, frame_size):
                    yield from _read(video, piece, opened, frame_size, causes)
        except VideoError as error:  # the file itself
            causes = [error.cause] * len(video.windows)
        if causes:
            lost = f"; {len(causes)} of {len(video.windows)} clips are lost" if len(causes) < len(video.windows) else ""
            failures.append(Failure(video.name, causes[0].rstrip(".") + lost))


def _read(
    video: SampledVideo, windows: tuple[Window, ...], opened: VideoReader, frame_size: int, causes: list[str]
) -> Iterator[Clip]:
    """The clips of these windows that can be read; for every other one, its cause is added to `causes`."""
    positions = sorted({position for window in windows for position in window.positions})
    try:
        pixels = opened.read(video.frames[positions].tolist(), size=frame_size)
    except VideoError as error:
        if len(windows) == 1:
            causes.append(error.cause)
            return
        # A damaged place spoils what is read together with it: close in on it by halves.
        middle = len(windows) // 2
        yield from _read(video, windows[:middle], opened, frame_size, causes)
        yield from _read(video, windows[middle:], opened, frame_size, causes)
        return
    row = {position: index for index, position in enumerate(positions)}
    for window in windows:
        yield Clip(video, window, pixels[[row[position] for position in window.positions]])


def _pieces(windows: tuple[Window, ...], frame_size: int) -> Iterator[tuple[Window, ...]]:
    """Runs of windows whose frames are decoded and held together."""
    clip_bytes = len(windows[0].positions) * frame_size * frame_size * 3
    size = max(1, PIECE_BYTES // clip_bytes)
    # The last window overlaps the one before it: together with it, its frames are not decoded twice.
    starts = list(range(0, max(1, len(windows) - 1), size))
    for start, stop in zip(starts, [*starts[1:], len(windows)], strict=True):
        yield windows[start:stop]


def batched(clips: Iterable[Clip], batch_size: int) -> Iterator[list[Clip]]:
    """Fill batches across videos; only the last one may be smaller."""
    batch: list[Clip] = []
    for clip in clips:
        batch.append(clip)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
