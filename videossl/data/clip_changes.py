"""What is done to planned frames afterwards: short videos are lengthened, inner frames jittered."""

import numpy as np

from videossl.data.clip_layouts import Frames, Pace, Seconds, nearest


def lengthened(seconds: Seconds, offsets: Seconds, pace: Pace, *, loops: bool) -> Frames:
    """Frames of views in a video that is too short for them.

    Args:
        seconds: (num_frames,) times of the video, at least one.
        offsets: (V, T) frames or, by `target_fps`, seconds from the first frame on.
        pace: Step in time.
        loops: The video begins again after its end; otherwise its last frame is repeated.

    Returns:
        (V, T) frame numbers.
    """
    if pace.target_fps is None:
        frames = offsets.astype(np.int64)
        return frames % len(seconds) if loops else np.minimum(frames, len(seconds) - 1)
    seconds = seconds - seconds[0]
    if not loops:
        return nearest(seconds, offsets)
    last_frame_seconds = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / pace.target_fps
    period = seconds[-1] + last_frame_seconds
    # After the last frame comes the first one again, as frame number n.
    return nearest(np.append(seconds, period), offsets % period) % len(seconds)


def jittered(seconds: Seconds, frames: Frames, pace: Pace, share: float, draw: np.random.Generator) -> Frames:
    """Frames of views moved by up to a share of a step; the first and last of each stay, so that gaps do.

    Args:
        seconds: (num_frames,) times of the video.
        frames: (V, T) frame numbers.
        pace: Step in time.
        share: Above 0, below 0.5, so that frames keep their order.
        draw: Of the moves.

    Returns:
        (V, T) frame numbers.
    """
    moved = frames.copy()
    inner = frames[:, 1:-1]
    if pace.target_fps is None:
        most = int(share * pace.frame_stride)
        moved[:, 1:-1] += draw.integers(-most, most + 1, inner.shape)
        return moved
    moved[:, 1:-1] = nearest(seconds, seconds[inner] + draw.uniform(-share, share, inner.shape) / pace.target_fps)
    # Where the video is slower than the views frames repeat, and moves could change their order.
    return np.minimum(np.maximum.accumulate(moved, axis=1), frames[:, -1:])
