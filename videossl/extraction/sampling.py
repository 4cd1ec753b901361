"""Which frames of a video are taken, and the windows that they are cut into. No pixels, no files."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from videossl.data import ClipPlanner, Media, Video
from videossl.extraction.windows import Windows


@dataclass(frozen=True, eq=False)
class SampledVideo:
    """A video that is to be embedded.

    Attributes:
        name: Its stable name.
        media: Where it lies.
        label: Its class, None if it has none.
        frames: (n,) number in the file of every sampled frame, not decreasing.
        seconds: (n,) time of every sampled frame, from the first frame of the file.
        windows: The clips that it is cut into.
        keyframes: (k,) frames at which decoding can start; empty where nobody can tell.
        identity: See `identity`; empty where nobody can tell whether its file is the same.
    """

    name: str
    media: Media
    label: str | None
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    windows: Windows
    keyframes: NDArray[np.int64]
    identity: str

    def repeats(self, positions: tuple[int, ...]) -> NDArray[np.bool_]:
        """(n - 1,) whether the frame at each of n positions but the first shows the same as the one before.

        Such frames fill up, or the video is slower than the rate at which it is sampled.
        """
        return np.diff(self.frames[list(positions)]) == 0


@dataclass(frozen=True)
class Sampling:
    """How videos are sampled and cut.

    Attributes:
        clip_frames: Frames T of a window.
        step_frames: Frames from the start of a window to the start of the next.
        frame_stride: Every so many frames one is sampled: 0, s, 2s, ...
        target_fps: Sample by time instead: the frames nearest to 0, 1 / fps, 2 / fps, ... seconds.
        tubelet_frames: Frames that the encoder joins to one time step.
        fill_end: See `Windows`.
    """

    clip_frames: int
    step_frames: int
    frame_stride: int
    target_fps: float | None
    tubelet_frames: int
    fill_end: bool

    def num_samples(self, video: Video) -> int:
        """How many frames of a readable video are sampled."""
        if self.target_fps is None:
            return -(-video.num_frames // self.frame_stride)
        return int(video.seconds[-1] * self.target_fps + 1e-6) + 1

    def windows(self, video: Video) -> Windows:
        """The windows of a readable video."""
        return Windows(
            self.num_samples(video),
            clip_frames=self.clip_frames,
            tubelet_frames=self.tubelet_frames,
            step_frames=self.step_frames,
            fill_end=self.fill_end,
        )

    def sampled(self, video: Video) -> SampledVideo:
        """A readable video with its frames chosen, by the same rule as in training."""
        planner = ClipPlanner(
            num_views=1,  # one view as long as the video
            num_frames=self.num_samples(video),
            frame_stride=self.frame_stride,
            target_fps=self.target_fps,
            short="pad",
        )
        plan = planner.plan_at(video.seconds, 0)
        return SampledVideo(
            video.name,
            video.media,
            video.label,
            plan.frames[0],
            plan.seconds[0],
            self.windows(video),
            video.keyframes,
            identity(video) or "",
        )


def identity(video: Video) -> str | None:
    """Changes when the rows of a video would: with its file, its place in it, and its label; not with its folder.

    None if nobody can tell whether the file is the same.
    """
    if video.fingerprint is None:
        return None
    place = {name: value for name, value in asdict(video.media).items() if name != "path"}
    facts = {"place": place, "label": video.label, "file": asdict(video.fingerprint)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
