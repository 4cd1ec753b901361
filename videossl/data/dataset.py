"""Views of videos as a torch data set, and batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from videossl.data.cache import FrameCache
from videossl.data.clips import ClipError, ClipPlan, ClipPlanner
from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.opening import open_video
from videossl.data.decode.pyav import PyAVReader
from videossl.data.index import Video, VideoIndex
from videossl.errors import UsageError, WorkError
from videossl.types import Failure, ViewBatch

# So many unreadable videos one after the other mean that something else is broken, a disk for example.
MOST_STAND_INS = 64


@dataclass(frozen=True)
class Sample:
    """Views of one video.

    Attributes:
        clips: (V, T, C, H, W) uint8, RGB.
        plan: Which frames these are.
        video: Row of the video in its full index.
        label: Its class, -1 if it has none.
        failures: Videos that were tried before and could not be read.
    """

    clips: Tensor
    plan: ClipPlan
    video: int
    label: int
    failures: tuple[Failure, ...] = ()


class VideoViews(Dataset[Sample]):
    """Views cut from videos; use it with a `DataLoader` and `collate`.

    Sample `epoch * len(videos) + i` is video `i` in an epoch: a sampler can hand out numbers beyond the length, and
    `set_epoch` shifts all of them. What a sample holds depends on the seed, the epoch and the videos only, not on
    workers or on what was read before.

    A video is opened, decoded once for all its views, and closed within the call. Short videos are decoded whole and
    kept, see `FrameCache`. A video that cannot be read is replaced by the next one that can, with its `Failure` in the
    sample.

    Args:
        videos: Readable videos, for example `index.split("train")`.
        planner: Views in time.
        reader: Class that decodes.
        frame_size: Side of the frames in pixels: the centre square of the picture, resized.
        seed: Of the places of the views.
        cache_gib: Memory for decoded short videos in GiB; 0 for none.

    Raises:
        UsageError: No video, or videos that are too short for the planner (`ClipError`).
    """

    def __init__(
        self,
        videos: VideoIndex,
        *,
        planner: ClipPlanner,
        reader: type[VideoReader] = PyAVReader,
        frame_size: int = 64,
        seed: int = 0,
        cache_gib: float = 1.0,
    ) -> None:
        super().__init__()
        if frame_size < 1:
            raise UsageError(f"expected frame_size of at least 1 pixel, got {frame_size}.")
        if cache_gib < 0:
            raise UsageError(f"expected cache_gib of at least 0, got {cache_gib}.")
        self.videos = videos.readable
        if len(self.videos) == 0:
            raise UsageError(
                f"expected at least one readable video, got none of {len(videos)}. See the index for causes."
            )
        _check_lengths(self.videos, planner)
        self.planner = planner
        self.reader = reader
        self.frame_size = frame_size
        self.seed = seed
        self.epoch = 0
        self._cache = FrameCache(
            [video.num_frames for video in self.videos], frame_size=frame_size, max_bytes=int(cache_gib * 2**30)
        )
        self._failures: dict[int, Failure] = {}

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[Sample]:
        return (self[number] for number in range(len(self)))

    def set_epoch(self, epoch: int) -> None:
        """Cut other views from now on. Workers that are kept alive between epochs do not see it: they have copies."""
        self.epoch = epoch

    def __getitem__(self, number: int) -> Sample:
        """Views of a video; `number // len(self)` epochs are added to the epoch that was set.

        Raises:
            WorkError: Neither this video nor any that could stand in for it can be read.
        """
        if number < 0:
            raise IndexError(f"expected a sample number of at least 0, got {number}.")
        more_epochs, asked = divmod(number, len(self))
        failures: list[Failure] = []
        for attempt in range(min(len(self), MOST_STAND_INS)):
            row = (asked + attempt) % len(self)
            video = self.videos[row]
            plan = self.planner.plan(video.seconds, epoch=self.epoch + more_epochs, sample=asked, seed=self.seed)
            clips = self._clips(row, video, plan.frames)
            if isinstance(clips, Failure):
                failures.append(clips)
            else:
                return Sample(clips, plan, video.video, video.label_id, tuple(failures))
        raise WorkError(
            f"{len(failures)} videos in a row could not be read. The first: {failures[0].video}: {failures[0].cause} "
            "If this is so for all videos: have the files moved, or can this reader not decode them?"
        )

    def _clips(self, row: int, video: Video, frames: NDArray[np.int64]) -> Tensor | Failure:
        """(V, T, C, H, W) uint8, or why not."""
        kept = self._cache.get(row)
        if kept is not None:
            return torch.from_numpy(kept)[torch.from_numpy(frames)]
        if row in self._failures:  # a broken file stays broken; do not try it again every epoch
            return self._failures[row]
        try:
            if self._cache.has_place(row):
                whole = rearrange(self._read(video, range(video.num_frames)), "n h w c -> n c h w")
                self._cache.put(row, whole)
                return torch.from_numpy(np.ascontiguousarray(whole[frames]))
            needed, places = np.unique(frames, return_inverse=True)
            pictures = rearrange(self._read(video, needed.tolist()), "n h w c -> n c h w")
            return torch.from_numpy(np.ascontiguousarray(pictures[places.reshape(frames.shape)]))
        except VideoError as error:
            self._failures[row] = Failure(video.name, error.cause)
            return self._failures[row]

    def _read(self, video: Video, frames: Sequence[int]) -> NDArray[np.uint8]:
        with open_video(video.media, self.reader) as reader:
            if reader.num_frames != video.num_frames:
                raise VideoError(
                    video.path,
                    f"{self.reader.__name__} finds {reader.num_frames} frames where the index has {video.num_frames}: "
                    "the file has changed, or this reader reads it wrongly.",
                )
            return reader.read(frames, size=self.frame_size)


def collate(samples: Sequence[Sample]) -> ViewBatch:
    """One batch of samples, for `DataLoader(..., collate_fn=collate)`."""
    return ViewBatch(
        clips=torch.stack([sample.clips for sample in samples]),
        frames=torch.from_numpy(np.stack([sample.plan.frames for sample in samples])),
        seconds=torch.from_numpy(np.stack([sample.plan.seconds for sample in samples])),
        videos=torch.tensor([sample.video for sample in samples]),
        labels=torch.tensor([sample.label for sample in samples]),
        failures=tuple(failure for sample in samples for failure in sample.failures),
    )


def _check_lengths(videos: VideoIndex, planner: ClipPlanner) -> None:
    if planner.short != "error":
        return
    short = [video for video in videos if not planner.fits(video.seconds)]
    if short:
        raise ClipError(
            f"{len(short)} of {len(videos)} videos are too short, for example {short[0].name}: "
            f"it {planner.too_short(short[0].seconds)}"
        )
