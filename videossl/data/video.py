"""One row of the index: what is known of a video without decoding it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videossl.data.fingerprint import Fingerprint
from videossl.data.media import Media
from videossl.data.split import Split

Check = Literal["fast", "full"]


def _no_frames() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """One row of the index.

    Attributes:
        video: Row in the full index, the id of the video in a `ViewBatch`.
        name: Path relative to the folder of all videos, with forward slashes.
        media: Where its pictures lie.
        label: Class, None where there is none.
        label_id: Number of the class in the sorted list of classes, -1 where there is none.
        num_frames: Frames that it shows; 0 if nobody can tell.
        seconds: (num_frames,) float64, presentation times from the first frame.
        height: Of the pictures as shown, in pixels; 0 if they cannot be read.
        width: The same.
        split: "train" or "heldout"; None for a video that cannot be read: it is in neither.
        error: Why it cannot be read, None if it can. A video of which a full check found a frame damaged counts as one
            that cannot be read, though the other columns tell what it is.
        keyframes: (k,) int64, increasing, numbers of the frames at which decoding can start; empty where frames can
            only be counted from the start, or nobody can tell.
        codec: FFmpeg's name of the codec ("h264", "av1"); None if nobody can tell, or for a folder of pictures.
        container: FFmpeg's names of the file format ("mov,mp4,m4a,3gp,3g2,mj2"); None as above.
        fingerprint: Of the file when it was looked into; None where it cannot be told, so it is looked into again.
        check: How it was looked into: "fast" (all packets, first picture) or "full" (every picture was decoded).
        weight: How often it is drawn, relative to the others; see `Source`.
        group: Videos of one group are in one split; "": the video is a group of its own.
        refused: Whether its source refused to open it (a link out of the folder, a fifo): `error` says why, and it
            stays refused when the index is read.
    """

    video: int
    name: str
    media: Media
    label: str | None
    label_id: int
    num_frames: int
    seconds: NDArray[np.float64]
    height: int
    width: int
    split: Split | None
    error: str | None
    keyframes: NDArray[np.int64] = field(default_factory=_no_frames)
    codec: str | None = None
    container: str | None = None
    fingerprint: Fingerprint | None = None
    check: Check = "fast"
    weight: float = 1.0
    group: str = ""
    refused: bool = False

    @property
    def path(self) -> Path:
        """The file that it is, or is a piece of; use `media` to open it."""
        return Path(self.media.path)

    @property
    def gap_seconds(self) -> float:
        """Median time from one frame to the next; 0 where there are fewer than two frames."""
        return float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 0.0

    @property
    def fps(self) -> float:
        """Frames per second by the median gap; 0 where there are fewer than two frames."""
        return 1 / self.gap_seconds if self.gap_seconds > 0 else 0.0

    @property
    def duration_seconds(self) -> float:
        """From the first frame to the end of the last, which is taken to last a median gap; 0 without frames."""
        return float(self.seconds[-1]) + self.gap_seconds if len(self.seconds) else 0.0
