"""Where in a video views may begin: parts of equal length for even coverage, and windows in time."""

from collections.abc import Callable
from itertools import chain

import numpy as np

from videossl.data.clip_layouts import TOLERANCE_SECONDS, Frames, Layout, Pace, Seconds, Steps, last_start, nearest


def even_spans(seconds: Seconds, num_views: int, num_frames: int, pace: Pace) -> tuple[Frames, Frames]:
    """First and last frames at which views that cover a video evenly may begin.

    The video is cut into `num_views` parts of equal length (in frames or, by `target_fps`, in seconds), a view in each:
    views share no frame. Where a view does not fit into a part, the frames at which a view can begin are cut into
    parts instead: views overlap, in order of time.

    Args:
        seconds: (num_frames,) times of a video that one view at least fits into.
        num_views: V.
        num_frames: T.
        pace: Step in time.

    Returns:
        (V,) first and (V,) last frames, inclusive.
    """
    last = last_start(seconds, Steps(np.arange(num_frames)[None]), pace)
    bounds = _bounds(seconds, num_views, pace)
    ends = bounds[1:]
    if pace.target_fps is None:
        latest = ends - 1 - pace.frame_stride * (num_frames - 1)
    else:
        length = (num_frames - 1) / pace.target_fps
        # A view's last frame is the nearest one to its last instant: it must lie before the next part begins.
        halfway = np.append((seconds[1:] + seconds[:-1]) / 2, np.inf)[np.maximum(ends, 1) - 1]
        latest = np.minimum(np.searchsorted(seconds, halfway - length) - 1, last)
        latest -= nearest(seconds, seconds[np.maximum(latest, 0)] + length) >= ends  # rounding of the times
    if (latest >= bounds[:-1]).all():
        return bounds[:-1], latest
    bounds = np.minimum(_bounds(seconds[: last + 1], num_views, pace), last)
    return bounds[:-1], np.maximum(bounds[:-1], np.append(bounds[1:-1] - 1, last))


def _bounds(seconds: Seconds, num_parts: int, pace: Pace) -> Frames:
    """(num_parts + 1,) first frame of each part of equal length, and the number of frames."""
    shares = np.arange(num_parts + 1)
    if pace.target_fps is None:
        return shares * len(seconds) // num_parts
    times = seconds[0] + shares[:-1] / num_parts * (seconds[-1] - seconds[0])
    return np.append(np.searchsorted(seconds, times), len(seconds)).astype(np.int64)


def find_window(
    seconds: Seconds,
    layout: Layout,
    pace: Pace,
    *,
    window_seconds: float,
    least_frames: int,
    least_seconds: float,
    draw: np.random.Generator | None,
) -> tuple[int, int] | None:
    """A window in time that all views fit into.

    Args:
        seconds: (num_frames,) times of a video.
        layout: What must fit.
        pace: Step in time.
        window_seconds: From the first frame of a window to its last, at most.
        least_frames: That a window must hold, to be looked at.
        least_seconds: From its first frame to its last, at least, to be looked at.
        draw: Of the window; None: any will do.

    Returns:
        First frame and end (exclusive), or None if there is no such window. Windows that the end of the video cuts
        short are taken only if there is no other.
    """
    if len(seconds) == 0:
        return None
    begins = np.arange(len(seconds))
    ends = np.searchsorted(seconds, seconds + window_seconds + TOLERANCE_SECONDS, side="right")
    enough = (ends - begins >= least_frames) & (seconds[ends - 1] - seconds >= least_seconds - TOLERANCE_SECONDS)
    begins, ends = begins[enough], ends[enough]
    num_full = int(np.count_nonzero(seconds[begins] + window_seconds <= seconds[-1] + TOLERANCE_SECONDS))
    offset = 0 if draw is None else int(draw.integers(0, max(1, num_full)))
    for number in chain(range(offset, num_full), range(offset), range(num_full, len(begins))):
        first, end = int(begins[number]), int(ends[number])
        # A pause in the video can leave too little of a window: then the next one is taken.
        if last_start(seconds[first:end], layout, pace) >= 0:
            return first, end
    return None


def longest_gap(least: int, most: int, fits: Callable[[int], bool]) -> int:
    """The longest gap that fits; `least` is known to fit, and what is shorter than a gap that fits does too."""
    if least < most and fits(most):
        return most
    most -= least < most
    while least < most:
        middle = (least + most + 1) // 2
        if fits(middle):
            least = middle
        else:
            most = middle - 1
    return least
