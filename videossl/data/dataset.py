"""Views of videos as a torch data set, and batches of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from videossl.data.isolation import ChildDiedError, Isolated
from videossl.data.media import Media
from videossl.data.quarantine import Quarantine
from videossl.data.stopwatch import timed
from videossl.data.stored import check_frame_size, is_stored
from videossl.errors import UsageError, WorkError
from videossl.types import Failure, ViewBatch

# So many unreadable videos one after the other mean that something else is broken, a disk for example.
MOST_STAND_INS = 64


@dataclass(frozen=True)
class ReplacedFailure(Failure):
    """The failure of the very video that was asked for: another one stands in, and a sample was replaced.

    A plain `Failure` is that of a video that should have stood in.
    """


@dataclass(frozen=True)
class Sample:
    """Views of one video.

    Attributes:
        clips: (V, T, C, H, W) uint8, RGB.
        plan: Which frames these are.
        video: Row of the video in its full index.
        label: Its class, -1 if it has none.
        failures: Videos that were tried before and could not be read, the first a `ReplacedFailure`.
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
    sample. Decoding happens in a process of its own (see `Isolated`): a decoder that crashes or hangs is a `Failure`
    like any other, and its video is not opened again.

    Args:
        videos: Readable videos, for example `index.split("train")`.
        planner: Views in time.
        reader: Class that decodes.
        frame_size: Side of the frames in pixels: the centre square of the picture, resized.
        seed: Of the places of the views.
        cache_gib: Memory for decoded short videos in GiB; 0 for none.
        isolate: Decode in a process of its own, one for every worker of a `DataLoader`.
        deadline_seconds: Longest time that reading one sample may take where it is isolated; None for no limit.

    Attributes:
        videos: The videos that samples are cut from.
        skipped: Videos that are too short and left out because the planner says `short: skip`.
        num_lengthened: Videos that are too short and padded or looped because the planner says so.

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
        isolate: bool = True,
        deadline_seconds: float | None = 10.0,
    ) -> None:
        super().__init__()
        if frame_size < 1:
            raise UsageError(f"expected frame_size of at least 1 pixel, got {frame_size}.")
        if cache_gib < 0:
            raise UsageError(f"expected cache_gib of at least 0, got {cache_gib}.")
        if deadline_seconds is not None and not deadline_seconds > 0:
            raise UsageError(f"expected deadline_seconds above 0 (or null, for no deadline), got {deadline_seconds}.")
        if len(videos.readable) == 0:
            raise UsageError(
                f"expected at least one readable video, got none of {len(videos)}. See the index for causes."
            )
        self.videos, self.skipped, self.num_lengthened = _sorted_out(videos.readable, planner)
        check_frame_size((video.media for video in self.videos), frame_size)
        self.planner = planner
        self.reader = reader
        self.frame_size = frame_size
        self.seed = seed
        self.epoch = 0
        self._cache = FrameCache(
            # The frames of a store lie in memory already, if there is enough of it.
            [0 if is_stored(video.media) else video.num_frames for video in self.videos],
            frame_size=frame_size,
            max_bytes=int(cache_gib * 2**30),
        )
        self._failures: dict[int, Failure] = {}
        self._read_here = partial(_read, reader, frame_size)
        self._isolated = Isolated(self._read_here, deadline_seconds=deadline_seconds) if isolate else None
        self._quarantine = Quarantine(len(self.videos), deadline_seconds=deadline_seconds)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def num_cached(self) -> int:
        """Videos whose frames are kept in memory once they were read."""
        return self._cache.num_videos

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
                failures.append(clips if failures else ReplacedFailure(clips.video, clips.cause))
            else:
                return Sample(clips, plan, video.video, video.label_id, tuple(failures))
        raise WorkError(
            f"{len(failures)} videos in a row could not be read. The first: {failures[0].video}: {failures[0].cause} "
            "If this is so for all videos: have the files moved, or can this reader not decode them?"
        )

    def _clips(self, row: int, video: Video, frames: NDArray[np.int64]) -> Tensor | Failure:
        """(V, T, C, H, W) uint8, or why not."""
        if row in self._failures:  # a broken file stays broken; do not try it again every epoch
            return self._failures[row]
        try:
            if self._cache.has_place(row):
                return torch.from_numpy(self._whole(row, video))[torch.from_numpy(frames)]
            needed, places = np.unique(frames, return_inverse=True)

            def arranged(pictures: NDArray[np.uint8]) -> Tensor:
                # Selected as they lie and then copied once: a tenth of the time of doing it the other way round.
                lying = rearrange(torch.from_numpy(pictures), "n h w c -> n c h w")
                return lying.index_select(0, torch.from_numpy(places.reshape(-1))).contiguous()

            clips: Tensor = self._decode(row, video, needed.tolist(), arranged)
            return rearrange(clips, "(v t) c h w -> v t c h w", v=len(frames))
        except VideoError as error:
            self._failures[row] = Failure(video.name, error.cause)
            return self._failures[row]

    def _whole(self, row: int, video: Video) -> NDArray[np.uint8]:
        """(num_frames, 3, H, W) uint8, all frames of a video that has a place in the cache."""
        kept = self._cache.get(row)
        if kept is not None:
            return kept

        def keep(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return self._cache.put(row, rearrange(pictures, "n h w c -> n c h w"))

        whole: NDArray[np.uint8] = self._decode(row, video, range(video.num_frames), keep)
        return whole

    def _decode(self, row: int, video: Video, frames: Sequence[int], then: Callable[[NDArray[np.uint8]], Any]) -> Any:
        """What `then` makes of the pictures (n, H, W, 3) uint8 of these frames, which are not its to keep."""
        cause = self._quarantine.cause(row)
        if cause is not None:  # another worker has found out
            raise VideoError(video.media, cause)
        if self._isolated is None or is_stored(video.media):  # what is not decoded needs no protection
            return then(self._read_here(video.media, video.num_frames, frames))
        try:
            return self._isolated.use(then, video.media, video.num_frames, frames)
        except ChildDiedError as error:
            self._quarantine.put(row, error.code)
            raise VideoError(video.media, self._quarantine.cause(row) or str(error)) from error


def _read(
    reader: type[VideoReader], frame_size: int, media: Media, num_frames: int, frames: Sequence[int]
) -> NDArray[np.uint8]:
    with timed("open"):
        opened = open_video(media, reader)
    with opened:
        if opened.num_frames != num_frames:
            raise VideoError(
                media,
                f"{type(opened).__name__} finds {opened.num_frames} frames where the index has {num_frames}: "
                "the file has changed, or this reader reads it wrongly.",
            )
        with timed("read"):
            return opened.read(frames, size=frame_size)


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


def _sorted_out(videos: VideoIndex, planner: ClipPlanner) -> tuple[VideoIndex, tuple[Failure, ...], int]:
    """The videos to cut from, those that the planner leaves out, and how many it lengthens."""
    short = [video for video in videos if not planner.fits(video.seconds)]
    if not short or planner.short in ("pad", "loop"):
        return videos, (), len(short)
    example = f"for example {short[0].name}: it {planner.too_short(short[0].seconds)}"
    if planner.short == "error":
        raise ClipError(f"{len(short)} of {len(videos)} videos are too short, {example}")
    if len(short) == len(videos):
        raise ClipError(f"all {len(videos)} videos are too short, so that none is left; {example}")
    left_out = {video.video for video in short}
    skipped = tuple(
        Failure(video.name, f"left out, as data.clips.short=skip asks: it {planner.too_short(video.seconds)}")
        for video in short
    )
    return VideoIndex([video for video in videos if video.video not in left_out]), skipped, 0
