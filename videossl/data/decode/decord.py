"""Decode with decord, on request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.closed_groups import OpenGroupsError, frame_seconds
from videossl.data.decode.picture import centre_square
from videossl.data.media import Media
from videossl.errors import UsageError


class DecordReader(VideoReader):
    """Reader by decord: for ordinary MP4 and Matroska files with closed groups of pictures.

    Decord 0.6.0, its last release, gives wrong frames without saying so for open groups of pictures, intra refresh,
    B frames in AVI, MPEG transport and program streams, edit lists and more. So every file is looked into first, by
    its packets (`closed_groups`), and refused with the reason unless it is MP4 or Matroska (or AVI with a codec that
    has no B frames), every key frame is an IDR frame with nothing shown before it stored behind it, no frame is hidden,
    and decord counts and times the same frames. Not seen: damage, which decord covers up with pieces of other pictures.
    Choose `PyAVReader` unless you know your files; it is faster too.

    A process that holds an open decord reader must not fork: its children hang. `VideoViews` closes its readers at
    once.
    """

    def __init__(self, video: Path | Media) -> None:
        super().__init__(video)
        if self.media.is_url or not self.media.is_whole_file:
            raise VideoError(
                self.media,
                "decord reads whole files on this machine only, no URLs and no members of archives. "
                "Use videossl.data.PyAVReader.",
            )
        try:
            import decord
        except ImportError as error:
            raise UsageError(
                "data.reader is DecordReader, and decord is not installed (it has wheels for x86-64 only). "
                "Install it with `pip install decord`, or use videossl.data.PyAVReader."
            ) from error
        if not self.path.is_file():
            raise VideoError(self.media, "is not a file.")
        self._errors: tuple[type[Exception], ...] = (decord.DECORDError, RuntimeError, OSError, IndexError)
        self._video: Any = None
        try:
            exact = frame_seconds(self.media)
            self._video = decord.VideoReader(str(self.path.absolute()), ctx=decord.cpu(0), num_threads=1)
            shown = self._video.get_frame_timestamp(range(len(self._video)))[:, 0].astype(np.float64)  # (n,)
            problem = _wrong_times(shown, exact)
        except OpenGroupsError as error:
            problem = str(error)
        except VideoError:
            self.close()
            raise
        except self._errors as error:
            self.close()
            raise VideoError(self.media, _reason(error)) from error
        if problem:
            self.close()
            raise VideoError(self.media, f"decord reads it wrongly ({problem}). Use videossl.data.PyAVReader.")
        self._seconds = shown - shown[0] if exact is None else exact

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation times from the first frame; increasing."""
        return self._seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`."""
        self._check_numbers(frames)
        if self._video is None:
            raise VideoError(self.media, "was closed; open it again.")
        wanted = sorted(set(frames))
        try:
            pictures = self._pictures(wanted)
        except self._errors as error:
            raise VideoError(self.media, _reason(error)) from error
        if size is not None:
            pictures = np.stack([centre_square(picture, size) for picture in pictures])
        return pictures[np.searchsorted(wanted, frames)]

    def _pictures(self, wanted: list[int]) -> NDArray[np.uint8]:
        """(n, H, W, 3).

        Decord's rows are padded to 64 bytes. Where a padded row is as long as one of four channels (16 and 48 pixels
        wide), it takes the padding for a fourth channel, and its batches fail.
        """
        first: NDArray[np.uint8] = self._video[wanted[0]].asnumpy()
        if first.shape[-1] == 3:
            batch: NDArray[np.uint8] = self._video.get_batch(wanted).asnumpy()
            return batch
        height, width = first.shape[:2]
        rows = np.stack([self._video[number].asnumpy().reshape(height, -1) for number in wanted])
        return np.ascontiguousarray(rows[:, :, : 3 * width]).reshape(len(wanted), height, width, 3)

    def close(self) -> None:
        """Give the file and the decoder back. May be called twice."""
        self._video = None


def _wrong_times(shown: NDArray[np.float64], exact: NDArray[np.float64] | None) -> str:
    if len(shown) == 0:
        return "no frame"
    if not np.isfinite(shown).all() or shown[0] < 0:
        return "frames before time 0: an edit list, or no timestamps"
    if (np.diff(shown) <= 0).any():
        return "times do not increase"
    if exact is None:
        return ""
    if len(shown) != len(exact):
        return f"{len(shown)} frames instead of {len(exact)}"
    # Decord's times are in single precision.
    return "" if np.allclose(shown - shown[0], exact, rtol=1e-6, atol=2e-3) else "other times than its packets tell"


def _reason(error: Exception) -> str:
    """The first line of a decord error, without its time stamps, source files and the path of the video."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"(\[[\d:]+\] )?\S+\.(cc|h):\d+: (\[[^\]]*\] )?", "", first)
