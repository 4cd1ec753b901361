"""Where in time the views of a video are cut. Integers and seconds only: no pixels, no files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videossl.data.clip_changes import jittered, lengthened
from videossl.data.clip_layouts import Apart, Frames, Layout, Pace, Seconds, Steps, last_start
from videossl.data.clip_settings import Mode, Short, check_settings, too_short
from videossl.data.clip_spans import even_spans, find_window, longest_gap
from videossl.errors import UsageError

GAP_UNITS = 4096  # parts of the range of gaps in seconds, to find the longest one that fits


class ClipError(UsageError):
    """A video that is too short for the clips asked of it."""


@dataclass(frozen=True)
class ClipPlan:
    """Frames of the views of one video.

    Attributes:
        frames: (V, T) int64, frame numbers.
        seconds: (V, T) float64, their presentation times.
        short: "pad" or "loop" if the video is too short and was lengthened so; None for all others.
    """

    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    short: Literal["pad", "loop"] | None = None


@dataclass(frozen=True)
class ClipPlanner:
    """How many views of how many frames, and where in time.

    A view is `num_frames` frames at a step in time: `frame_stride` frames, or 1 / `target_fps` seconds if that is
    given. By `target_fps`, each instant takes the frame nearest to it by presentation time; where the video is slower
    than that, frames repeat.

    Attributes:
        num_views: Views of a video, V.
        num_frames: Frames of a view, T.
        frame_stride: Frames from one frame of a view to its next, without `target_fps`.
        target_fps: Frames per second of the views, whatever the video's rate.
        mode: "future": views in order of time, each begins after the one before has ended, and view 0 is the context.
            "random": every view anywhere in the video.
            "next_frame": view v is view 0, `v * shift_frames` steps later: views overlap. View 0 is anywhere.
            "uniform": the video is cut into V parts of equal length, a view in each; where a part is too short for a
            view, views overlap.
        gap_frames: In mode "future", least and most steps left out between a view and the next; drawn for every gap, as
            far as the video is long enough.
        short: What to do with a video that is too short. "error"; "pad": its last frame is repeated; "loop": it begins
            again; "skip": it is left out of the data set. A plan says when it was padded or looped.
        gap_seconds: In mode "future", instead of `gap_frames`: least and most seconds from the last frame of a view to
            the first frame of the next. At least one frame; if the video has no frame in the range, the first one
            after it.
        shift_frames: In mode "next_frame", steps from a view to the next.
        window_seconds: All views of a plan lie within so many seconds: a stretch of the video is drawn, and the views
            in it as if it were the whole video. None: the whole video.
        frame_jitter: Frames of a view other than its first and last are moved at random by up to this share of a step,
            below 0.5, so that their order stays.
    """

    num_views: int = 2
    num_frames: int = 4
    frame_stride: int = 1
    target_fps: float | None = None
    mode: Mode = "future"
    gap_frames: tuple[int, int] = (0, 0)
    short: Short = "error"
    gap_seconds: tuple[float, float] | None = None
    shift_frames: int = 1
    window_seconds: float | None = None
    frame_jitter: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self)
        if self.window_seconds is not None and self.seconds_needed > self.window_seconds:
            raise UsageError(
                f"expected window_seconds of at least {self.seconds_needed:g}, as the views need, got "
                f"{self.window_seconds:g}. Ask for fewer or shorter views, or for a longer window."
            )

    @property
    def frames_needed(self) -> int:
        """Frames that a video must have for `plan`; by `target_fps`, if the video has that rate (see `fits`)."""
        if self._has_gap_seconds:  # at least: how many frames a gap leaves out is up to the video
            return self.num_views * ((self.num_frames - 1) * self.frame_stride + 1)
        return self._last_step * self.frame_stride + 1

    @property
    def seconds_needed(self) -> float:
        """From the first frame of a sample to its last, with the least gaps; without `target_fps`, the gaps only."""
        if self._has_gap_seconds and self.gap_seconds is not None:
            in_views = 0.0 if self.target_fps is None else self.num_views * (self.num_frames - 1) / self.target_fps
            return in_views + (self.num_views - 1) * self.gap_seconds[0]
        return 0.0 if self.target_fps is None else self._last_step / self.target_fps

    def fits(self, seconds: NDArray[np.float64]) -> bool:
        """Whether a video with frames at these times is long enough for `plan` without padding."""
        if self.window_seconds is None:
            return last_start(seconds, self._least, self._pace) >= 0
        return self._window(seconds, None) is not None

    def too_short(self, seconds: NDArray[np.float64]) -> str:
        """What to tell of a video that does not fit, in one line."""
        return too_short(self, seconds)

    def plan(self, seconds: NDArray[np.float64], *, epoch: int, sample: int, seed: int) -> ClipPlan:
        """Views at places drawn for this sample of this epoch: the same whenever it is asked.

        Args:
            seconds: (num_frames,) presentation times, increasing.
            epoch: Of the training, from 0.
            sample: Number of the sample, from 0.
            seed: Of all places.

        Raises:
            ClipError: The video is too short, and `short` is "error" or "skip".
        """
        draw = np.random.default_rng((seed % 2**63, epoch, sample))
        if self.window_seconds is None:
            if not self.fits(seconds):
                return self._short_plan(seconds)
            frames = self._drawn(seconds, draw)
        else:
            window = self._window(seconds, draw)
            if window is None:
                return self._short_plan(seconds)
            first, end = window
            frames = first + self._drawn(seconds[first:end], draw)
        if self.frame_jitter > 0:
            frames = jittered(seconds, frames, self._pace, self.frame_jitter, draw)
        return self._plan(seconds, frames)

    def starts(self, seconds: NDArray[np.float64]) -> range:
        """First frames from which `plan_at` can plan. Of a short video: 0 if it is padded or looped, else none.

        In mode "uniform" 0 stands for the one plan of the whole video.
        """
        last = last_start(seconds, self._ordered, self._pace)
        if last < 0 and self.short in ("pad", "loop"):
            return range(min(1, len(seconds)))
        return range(min(last, 0) + 1 if self.mode == "uniform" else last + 1)

    def plan_at(self, seconds: NDArray[np.float64], start: int) -> ClipPlan:
        """Views in order of time from the frame `start` on, with the least gaps; nothing is drawn, in any mode.

        In mode "uniform" they lie in the middle of their parts. Windows are drawn, so there is none here, and neither
        is there jitter.

        Raises:
            ClipError: There are too few frames from there on.
        """
        starts = self.starts(seconds)
        if start not in starts:
            if not starts:
                raise ClipError(f"the video {self.too_short(seconds)}")
            raise ClipError(f"clips can start at the frames 0 to {starts[-1]} of this video, got {start}.")
        if last_start(seconds, self._ordered, self._pace) < 0:
            return self._short_plan(seconds)
        if self.mode == "uniform":
            first, last = even_spans(seconds, self.num_views, self.num_frames, self._pace)
            return self._plan(seconds, self._single_views(seconds, (first + last) // 2))
        return self._plan(seconds, self._ordered.place(seconds, start, self._pace))

    def in_order(self, num_views: int) -> "ClipPlanner":
        """The same views in order of time, none overlapping another, for evaluation: without window and jitter."""
        return replace(self, num_views=num_views, mode="future", shift_frames=1, window_seconds=None, frame_jitter=0.0)

    @property
    def _pace(self) -> Pace:
        return Pace(self.frame_stride, self.target_fps)

    @property
    def _has_gap_seconds(self) -> bool:
        return self.gap_seconds is not None and self.num_views > 1

    @property
    def _single(self) -> Layout:
        return Steps(np.arange(self.num_frames)[None])

    @property
    def _ordered(self) -> Layout:
        """Views in order of time with the least gaps: what `plan_at` plans."""
        if self.mode == "next_frame":
            shifts = self.shift_frames * np.arange(self.num_views)
            return Steps(shifts[:, None] + np.arange(self.num_frames), overlapping=True)
        if self.mode == "uniform":
            return self._single
        if self.gap_seconds is not None:
            return self._apart(self.gap_seconds[0])
        return self._steps(self.gap_frames[0])

    @property
    def _least(self) -> Layout:
        """What must fit: all views in order, or a single one where each has its own place."""
        return self._single if self.mode == "random" else self._ordered

    @property
    def _last_step(self) -> int:
        """Steps from the first frame of a sample to its last, with the least gaps in frames."""
        layout = self._least
        return int(layout.steps[-1, -1]) if isinstance(layout, Steps) else self.num_views * self.num_frames - 1

    def _steps(self, gaps: Sequence[int] | int) -> Steps:
        every = (gaps,) * (self.num_views - 1) if isinstance(gaps, int) else tuple(gaps)
        return _views_apart(self.num_frames, every)

    def _apart(self, gaps: NDArray[np.float64] | float) -> Apart:
        assert self.gap_seconds is not None
        return Apart(self.num_frames, np.broadcast_to(gaps, self.num_views - 1), *self.gap_seconds)

    def _drawn(self, seconds: Seconds, draw: np.random.Generator) -> Frames:
        """(V, T) frames in a stretch of video that is long enough."""
        if self.mode == "random":
            starts = draw.integers(0, last_start(seconds, self._single, self._pace) + 1, self.num_views)
            return self._single_views(seconds, starts)
        if self.mode == "uniform":
            first, last = even_spans(seconds, self.num_views, self.num_frames, self._pace)
            return self._single_views(seconds, draw.integers(first, last + 1))
        layout = self._ordered
        if self.mode == "future":
            layout = self._with_gaps(seconds, draw)
        start = int(draw.integers(0, last_start(seconds, layout, self._pace) + 1))
        return layout.place(seconds, start, self._pace)

    def _with_gaps(self, seconds: Seconds, draw: np.random.Generator) -> Layout:
        """Gaps drawn from the range, as far as the video is long enough."""
        num_gaps, pace = self.num_views - 1, self._pace
        if self.gap_seconds is None:
            least, most = self.gap_frames
            longest = longest_gap(least, most, lambda gap: last_start(seconds, self._steps(gap), pace) >= 0)
            return self._steps(draw.integers(least, longest + 1, num_gaps).tolist())
        shortest, widest = self.gap_seconds
        unit = (widest - shortest) / GAP_UNITS
        units = longest_gap(
            0, GAP_UNITS, lambda gap: len(self._apart(shortest + gap * unit).place(seconds, 0, pace)) > 0
        )
        return self._apart(draw.uniform(shortest, shortest + units * unit, num_gaps))

    def _single_views(self, seconds: Seconds, starts: Frames) -> Frames:
        return np.concatenate([self._single.place(seconds, int(start), self._pace) for start in starts])

    def _window(self, seconds: Seconds, draw: np.random.Generator | None) -> tuple[int, int] | None:
        assert self.window_seconds is not None
        return find_window(
            seconds,
            self._least,
            self._pace,
            window_seconds=self.window_seconds,
            least_frames=self.frames_needed if self.target_fps is None else 1,
            least_seconds=self.seconds_needed,
            draw=draw,
        )

    def _short_plan(self, seconds: Seconds) -> ClipPlan:
        if self.short == "error" or self.short == "skip" or len(seconds) == 0:
            raise ClipError(f"the video {self.too_short(seconds)}")
        held = seconds
        if self.window_seconds is not None:  # the first window, as if it were the whole video
            held = seconds[seconds <= seconds[0] + self.window_seconds]
        offsets = self._ordered.offsets(held, self._pace)
        if self.mode == "uniform":
            offsets = np.tile(offsets, (self.num_views, 1))
        frames = lengthened(held, offsets, self._pace, loops=self.short == "loop")
        return ClipPlan(frames, seconds[frames], self.short)

    def _plan(self, seconds: Seconds, frames: Frames) -> ClipPlan:
        return ClipPlan(frames.astype(np.int64), seconds[frames])


@lru_cache(maxsize=256)  # asked for every clip of a training, and mostly the same
def _views_apart(num_frames: int, gaps: tuple[int, ...]) -> Steps:
    """Views of consecutive frames, with so many frames between the end of each and the start of the next."""
    begins = np.cumsum([0, *(num_frames + gap for gap in gaps)])
    steps: Frames = begins[:, None] + np.arange(num_frames)
    steps.flags.writeable = False
    return Steps(steps)
