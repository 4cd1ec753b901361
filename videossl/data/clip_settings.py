"""What is said of settings of the clip planner that cannot work, and of videos that are too short for them."""

import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from videossl.errors import UsageError

if TYPE_CHECKING:
    from videossl.data.clips import ClipPlanner

Mode = Literal["future", "random", "next_frame", "uniform"]
Short = Literal["error", "pad", "loop", "skip"]


def check_settings(planner: "ClipPlanner") -> None:
    """Check every setting of a planner by itself and with the others.

    Raises:
        UsageError: The first one that cannot work.
    """
    for name in ("num_views", "num_frames", "frame_stride", "shift_frames"):
        if getattr(planner, name) < 1:
            raise UsageError(f"expected {name} of at least 1, got {getattr(planner, name)}.")
    for name, instead in (("target_fps", "for frame_stride"), ("window_seconds", "for the whole video")):
        value = getattr(planner, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"expected {name} above 0 (or null, {instead}), got {value}.")
    if planner.target_fps is not None and planner.frame_stride != 1:
        raise UsageError(
            f"expected frame_stride or target_fps, got both: {planner.frame_stride} and {planner.target_fps}. "
            "Leave frame_stride at 1 or target_fps at null."
        )
    for name, choices in (("mode", get_args(Mode)), ("short", get_args(Short))):
        if getattr(planner, name) not in choices:
            raise UsageError(f"expected {name} to be one of {', '.join(choices)}, got {getattr(planner, name)}.")
    _check_gaps(planner)
    if planner.mode != "next_frame" and planner.shift_frames != 1:
        raise UsageError(f'shift_frames needs mode "next_frame", got {planner.shift_frames} in mode "{planner.mode}".')
    _check_jitter(planner)


def _check_gaps(planner: "ClipPlanner") -> None:
    least, most = planner.gap_frames
    if not 0 <= least <= most:
        raise UsageError(f"expected gap_frames as (least, most) with 0 <= least <= most, got ({least}, {most}).")
    if planner.gap_seconds is not None:
        if not 0 <= planner.gap_seconds[0] <= planner.gap_seconds[1] < math.inf:
            raise UsageError(
                f"expected gap_seconds as (least, most) with 0 <= least <= most, got {planner.gap_seconds}."
            )
        if most > 0:
            raise UsageError(f"expected gap_frames or gap_seconds, got both: {least, most} and {planner.gap_seconds}.")
    if planner.mode != "future":
        for name, gap in (
            ("gap_frames", planner.gap_frames if most > 0 else None),
            ("gap_seconds", planner.gap_seconds),
        ):
            if gap is not None:
                raise UsageError(
                    f'{name} needs mode "future": views of mode "{planner.mode}" have no gaps; got {tuple(gap)}.'
                )


def _check_jitter(planner: "ClipPlanner") -> None:
    jitter = planner.frame_jitter
    if not 0 <= jitter < 0.5:
        raise UsageError(f"expected frame_jitter from 0 to below 0.5 of a step, got {jitter}.")
    if jitter > 0 and planner.mode == "next_frame":
        raise UsageError('frame_jitter would move the frames that views of mode "next_frame" share; leave it at 0.')
    if jitter > 0 and planner.target_fps is None and int(jitter * planner.frame_stride) == 0:
        raise UsageError(
            f"frame_jitter of {jitter:g} of a step moves no frame at frame_stride {planner.frame_stride}: raise the "
            "stride, or set target_fps."
        )


def too_short(planner: "ClipPlanner", seconds: NDArray[np.float64]) -> str:
    """What to tell of a video with frames at these times that does not fit, in one line."""
    has_own_places = planner.mode in ("random", "uniform")
    number = "a view" if has_own_places else f"{planner.num_views} views"
    where = "" if planner.window_seconds is None else f" within {planner.window_seconds:g} s"
    gaps = "" if planner.gap_seconds is None else f" with gaps of {planner.gap_seconds[0]:g} s"
    views, length = f"{number} of {planner.num_frames} frames{gaps}", float(seconds[-1]) if len(seconds) else 0.0
    if planner.target_fps is not None:
        has = f"lasts {length:.2f} s to its last frame"
        needs = f"{views} at {planner.target_fps:g} fps need {planner.seconds_needed:.2f} s"
    else:
        has = f"has {len(seconds)} frames" + (f" in {length:.2f} s" if gaps or where else "")
        needs = f"{views} at stride {planner.frame_stride} need {planner.frames_needed}"
    return (
        f"{has}; {needs}{where}. Ask for fewer frames, or set short: pad (repeats the last frame), short: loop, or "
        "short: skip (leaves such videos out)."
    )
