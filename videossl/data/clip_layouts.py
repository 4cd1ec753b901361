"""From steps in time to frames of a video: numbers and seconds only."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

TOLERANCE_SECONDS = 1e-6
Frames = NDArray[np.int64]
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Pace:
    """One step in time: `frame_stride` frames or, if `target_fps` is given, 1 / target_fps seconds."""

    frame_stride: int
    target_fps: float | None


class Layout(Protocol):
    """Views as they lie to each other; views that begin later end later, or together."""

    def place(self, seconds: Seconds, start: int, pace: Pace) -> Frames:
        """(V, T) frames of views that begin at the frame `start`; (0, T) if the video ends before they do."""
        ...

    def offsets(self, seconds: Seconds, pace: Pace) -> Seconds:
        """(V, T) frames or, by `target_fps`, seconds from the first frame on, however long the video is."""
        ...


@dataclass(frozen=True)
class Steps:
    """Views whose frames are a number of steps from the first frame of the first view.

    Attributes:
        steps: (V, T) steps.
        overlapping: Views may share frames. Otherwise each begins behind the last frame of the one before it, if need
            be later than its step says.
    """

    steps: Frames
    overlapping: bool = False

    def place(self, seconds: Seconds, start: int, pace: Pace) -> Frames:
        """See `Layout`."""
        steps = self.steps
        nothing = np.empty((0, steps.shape[1]), dtype=np.int64)
        if pace.target_fps is None:
            frames = start + pace.frame_stride * steps
            return frames if frames[-1, -1] < len(seconds) else nothing
        times = seconds[start] + steps / pace.target_fps
        if self.overlapping:
            return nearest(seconds, times) if _is_within(seconds, times[-1, -1]) else nothing
        frames = np.empty_like(steps)
        for view in range(len(steps)):
            if view > 0:
                # In a pause of the video the nearest frame may be one of the view before: wait for the next one.
                last = int(frames[view - 1, -1])
                if last + 1 >= len(seconds):
                    return nothing
                times[view:] += max(0.0, (seconds[last] + seconds[last + 1]) / 2 - times[view, 0])
            frames[view] = nearest(seconds, times[view])
            if view > 0:  # rounding of the times may fall just short of the next frame
                frames[view] = np.maximum(frames[view], frames[view - 1, -1] + 1)
        return frames if _is_within(seconds, times[-1, -1]) else nothing

    def offsets(self, seconds: Seconds, pace: Pace) -> Seconds:  # noqa: ARG002
        """See `Layout`."""
        steps = self.steps.astype(np.float64)
        return steps * pace.frame_stride if pace.target_fps is None else steps / pace.target_fps


@dataclass(frozen=True)
class Apart:
    """Views with gaps in seconds, from the last frame of a view to the first frame of the next.

    A gap ends at the frame nearest to its end that keeps within the range or, if the video has no frame there, at the
    first one after the range.

    Attributes:
        num_frames: Frames of a view, T.
        gap_seconds: (V - 1,) gaps.
        least_seconds: Of the range.
        most_seconds: Of the range.
    """

    num_frames: int
    gap_seconds: Seconds
    least_seconds: float
    most_seconds: float

    def place(self, seconds: Seconds, start: int, pace: Pace) -> Frames:
        """See `Layout`."""
        nothing = np.empty((0, self.num_frames), dtype=np.int64)
        views: list[Frames] = []
        for view in range(len(self.gap_seconds) + 1):
            if view > 0:
                start = self._next_start(seconds, int(views[-1][-1]), float(self.gap_seconds[view - 1]))
                if start >= len(seconds):
                    return nothing
            if pace.target_fps is None:
                frames = start + pace.frame_stride * np.arange(self.num_frames)
                if frames[-1] >= len(seconds):
                    return nothing
            else:
                times = seconds[start] + np.arange(self.num_frames) / pace.target_fps
                if not _is_within(seconds, times[-1]):
                    return nothing
                frames = nearest(seconds, times)
            views.append(frames)
        return np.stack(views)

    def offsets(self, seconds: Seconds, pace: Pace) -> Seconds:
        """See `Layout`."""
        unit = 1 / pace.target_fps if pace.target_fps is not None else 1.0
        gaps = np.maximum(self.gap_seconds, unit)
        if pace.target_fps is None:  # as many frames as the gap would be at the usual rate of the video
            interval = float(np.median(np.diff(seconds))) if len(seconds) > 1 else np.inf
            gaps = np.maximum(1, np.ceil(self.gap_seconds / interval - TOLERANCE_SECONDS))
        in_view = pace.frame_stride * unit * np.arange(self.num_frames)
        return np.append(0, np.cumsum(in_view[-1] + gaps))[:, None] + in_view

    def _next_start(self, seconds: Seconds, last: int, gap: float) -> int:
        end = seconds[last]
        later = max(last + 1, int(np.searchsorted(seconds, end + gap - TOLERANCE_SECONDS)))
        earlier = later - 1
        if earlier == last or seconds[earlier] < end + self.least_seconds - TOLERANCE_SECONDS:
            return later
        if later == len(seconds) or seconds[later] > end + self.most_seconds + TOLERANCE_SECONDS:
            return earlier
        return later if seconds[earlier] + seconds[later] <= 2 * (end + gap) else earlier


def last_start(seconds: Seconds, layout: Layout, pace: Pace) -> int:
    """The last frame at which views can begin so that they end within the video; -1 if there is none."""
    if pace.target_fps is None and isinstance(layout, Steps):
        return max(-1, len(seconds) - 1 - pace.frame_stride * int(layout.steps[-1, -1]))
    low, high = -1, len(seconds) - 1  # views that begin later end later: search by halves
    while low < high:
        middle = (low + high + 1) // 2
        if len(layout.place(seconds, middle, pace)):
            low = middle
        else:
            high = middle - 1
    return low


def nearest(seconds: Seconds, times: Seconds) -> Frames:
    """The frame nearest to each time; the later one in the middle between two."""
    return np.searchsorted((seconds[1:] + seconds[:-1]) / 2, times, side="right").astype(np.int64)


def _is_within(seconds: Seconds, time: float) -> bool:
    return bool(time <= seconds[-1] + TOLERANCE_SECONDS)
