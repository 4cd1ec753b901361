"""Where in time the views of a video are cut. Integers and seconds only: no pixels, no files."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videossl.errors import UsageError

TOLERANCE_SECONDS = 1e-6


class ClipError(UsageError):
    """A video that is too short for the clips asked of it."""


@dataclass(frozen=True)
class ClipPlan:
    """Frames of the views of one video.

    Attributes:
        frames: (V, T) int64, frame numbers.
        seconds: (V, T) float64, their presentation times.
    """

    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]


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
        gap_frames: In mode "future", least and most steps left out between a view and the next; drawn for every gap, as
            far as the video is long enough.
        short: What to do with a video that is too short. "error"; "pad": its last frame is repeated; "loop": it begins
            again.
    """

    num_views: int = 2
    num_frames: int = 4
    frame_stride: int = 1
    target_fps: float | None = None
    mode: Literal["future", "random"] = "future"
    gap_frames: tuple[int, int] = (0, 0)
    short: Literal["error", "pad", "loop"] = "error"

    def __post_init__(self) -> None:
        for name in ("num_views", "num_frames", "frame_stride"):
            if getattr(self, name) < 1:
                raise UsageError(f"expected {name} of at least 1, got {getattr(self, name)}.")
        if self.target_fps is not None and not 0 < self.target_fps < float("inf"):
            raise UsageError(f"expected target_fps above 0 (or null, for frame_stride), got {self.target_fps}.")
        if self.target_fps is not None and self.frame_stride != 1:
            raise UsageError(
                f"expected frame_stride or target_fps, got both: {self.frame_stride} and {self.target_fps}. "
                "Leave frame_stride at 1 or target_fps at null."
            )
        for name, choices in (("mode", ("future", "random")), ("short", ("error", "pad", "loop"))):
            if getattr(self, name) not in choices:
                raise UsageError(f"expected {name} to be one of {', '.join(choices)}, got {getattr(self, name)}.")
        least, most = self.gap_frames
        if not 0 <= least <= most:
            raise UsageError(f"expected gap_frames as (least, most) with 0 <= least <= most, got ({least}, {most}).")
        if self.mode == "random" and most > 0:
            raise UsageError(f'gap_frames needs mode "future": views of mode "random" lie anywhere; got {least, most}.')

    @property
    def frames_needed(self) -> int:
        """Frames that a video must have for `plan`; by `target_fps`, if the video has that rate (see `fits`)."""
        return (self._num_steps - 1) * self.frame_stride + 1

    def fits(self, seconds: NDArray[np.float64]) -> bool:
        """Whether a video with frames at these times is long enough for `plan` without padding."""
        return self._last_start(seconds, self._least_steps) >= 0

    def too_short(self, seconds: NDArray[np.float64]) -> str:
        """What to tell of a video that does not fit, in one line."""
        views = f"{self.num_views} views of {self.num_frames} frames"
        if self.mode == "random":
            views = f"a view of {self.num_frames} frames"
        if self.target_fps is None:
            measure = f"has {len(seconds)} frames; {views} at stride {self.frame_stride} need {self.frames_needed}"
        else:
            length = float(seconds[-1]) if len(seconds) else 0.0
            needed = (self._num_steps - 1) / self.target_fps
            measure = f"lasts {length:.2f} s to its last frame; {views} at {self.target_fps:g} fps need {needed:.2f} s"
        return f"{measure}. Ask for fewer frames, or set short: pad (repeats the last frame) or short: loop."

    def plan(self, seconds: NDArray[np.float64], *, epoch: int, sample: int, seed: int) -> ClipPlan:
        """Views at places drawn for this sample of this epoch: the same whenever it is asked.

        Args:
            seconds: (num_frames,) presentation times, increasing.
            epoch: Of the training, from 0.
            sample: Number of the sample, from 0.
            seed: Of all places.

        Raises:
            ClipError: The video is too short, and `short` is "error".
        """
        draw = np.random.default_rng((seed % 2**63, epoch, sample))
        if not self.fits(seconds):
            return self._short_plan(seconds)
        if self.mode == "random":
            steps = self._least_steps
            starts = draw.integers(0, self._last_start(seconds, steps) + 1, self.num_views)
            return self._plan(seconds, np.concatenate([self._place(seconds, int(start), steps) for start in starts]))
        least, most = self.gap_frames
        if most > least:
            most = self._most_that_fits(seconds, least, most)
        steps = self._steps(draw.integers(least, most + 1, self.num_views - 1))
        start = int(draw.integers(0, self._last_start(seconds, steps) + 1))
        return self._plan(seconds, self._place(seconds, start, steps))

    def starts(self, seconds: NDArray[np.float64]) -> range:
        """First frames from which `plan_at` can plan. Of a short video: 0 if it is padded or looped, else none."""
        last = self._last_start(seconds, self._ordered_steps)
        if last < 0 and self.short != "error":
            return range(min(1, len(seconds)))
        return range(last + 1)

    def plan_at(self, seconds: NDArray[np.float64], start: int) -> ClipPlan:
        """Views in order of time from the frame `start` on, with the least gaps; nothing is drawn, in either mode.

        Raises:
            ClipError: There are too few frames from there on.
        """
        starts = self.starts(seconds)
        if start not in starts:
            if not starts:
                raise ClipError(f"the video {self.too_short(seconds)}")
            raise ClipError(f"clips can start at the frames 0 to {starts[-1]} of this video, got {start}.")
        if self._last_start(seconds, self._ordered_steps) < 0:
            return self._short_plan(seconds)
        return self._plan(seconds, self._place(seconds, start, self._ordered_steps))

    @property
    def _ordered_steps(self) -> NDArray[np.int64]:
        return self._steps(np.full(self.num_views - 1, self.gap_frames[0]))

    @property
    def _least_steps(self) -> NDArray[np.int64]:
        """What must fit: all views in order, or a single one where each has its own place."""
        return self._ordered_steps if self.mode == "future" else np.arange(self.num_frames)[None]

    @property
    def _num_steps(self) -> int:
        """Steps of a sample from its first frame to its last, both counted, with the least gaps."""
        return int(self._least_steps[-1, -1]) + 1

    def _steps(self, gaps: NDArray[np.int64]) -> NDArray[np.int64]:
        """(V, T) steps in time of each frame from the first one."""
        begins = self.num_frames * np.arange(self.num_views) + np.cumsum([0, *gaps])
        return begins[:, None] + np.arange(self.num_frames)

    def _place(self, seconds: NDArray[np.float64], start: int, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """(V, T) frames of views that begin at the frame `start`; empty if the video ends before they do."""
        nothing = np.empty((0, steps.shape[1]), dtype=np.int64)
        if self.target_fps is None:
            frames = start + self.frame_stride * steps
            return frames if frames[-1, -1] < len(seconds) else nothing
        frames = np.empty_like(steps)
        times = seconds[start] + steps / self.target_fps
        for view in range(len(steps)):
            if view > 0:
                # In a pause of the video the nearest frame may be one of the view before: wait for the next one.
                last = int(frames[view - 1, -1])
                if last + 1 >= len(seconds):
                    return nothing
                times[view:] += max(0.0, (seconds[last] + seconds[last + 1]) / 2 - times[view, 0])
            frames[view] = _nearest(seconds, times[view])
            if view > 0:  # rounding of the times may fall just short of the next frame
                frames[view] = np.maximum(frames[view], frames[view - 1, -1] + 1)
        return frames if times[-1, -1] <= seconds[-1] + TOLERANCE_SECONDS else nothing

    def _last_start(self, seconds: NDArray[np.float64], steps: NDArray[np.int64]) -> int:
        """The last frame at which views of these steps can begin; -1 if there is none."""
        if self.target_fps is None:
            return max(-1, len(seconds) - 1 - self.frame_stride * int(steps[-1, -1]))
        low, high = -1, len(seconds) - 1  # views that begin later end later: search by halves
        while low < high:
            middle = (low + high + 1) // 2
            if len(self._place(seconds, middle, steps)):
                low = middle
            else:
                high = middle - 1
        return low

    def _most_that_fits(self, seconds: NDArray[np.float64], least: int, most: int) -> int:
        while least < most:
            middle = (least + most + 1) // 2
            if self._last_start(seconds, self._steps(np.full(self.num_views - 1, middle))) >= 0:
                least = middle
            else:
                most = middle - 1
        return least

    def _short_plan(self, seconds: NDArray[np.float64]) -> ClipPlan:
        if self.short == "error" or len(seconds) == 0:
            raise ClipError(f"the video {self.too_short(seconds)}")
        steps = self._ordered_steps
        if self.target_fps is None:
            frames = self.frame_stride * steps
            return self._plan(
                seconds, frames % len(seconds) if self.short == "loop" else np.minimum(frames, len(seconds) - 1)
            )
        times = steps / self.target_fps
        if self.short == "pad":
            return self._plan(seconds, _nearest(seconds, times))
        last_frame_seconds = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / self.target_fps
        period = seconds[-1] + last_frame_seconds
        # After the last frame comes the first one again, as frame number n.
        return self._plan(seconds, _nearest(np.append(seconds, period), times % period) % len(seconds))

    def _plan(self, seconds: NDArray[np.float64], frames: NDArray[np.int64]) -> ClipPlan:
        return ClipPlan(frames.astype(np.int64), seconds[frames])


def _nearest(seconds: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """The frame nearest to each time; the later one in the middle between two."""
    return np.searchsorted((seconds[1:] + seconds[:-1]) / 2, times, side="right").astype(np.int64)
