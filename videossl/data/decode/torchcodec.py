"""Decode with torchcodec, on request."""

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

FRAMES_AT_A_TIME = 32  # at full size, before they are resized


class TorchCodecReader(VideoReader):
    """Reader by torchcodec in its exact mode: all packets are read first, and frames are found by their times.

    Optional. torchcodec needs FFmpeg's shared libraries (version 4 to 8), and a release that imports beside the
    installed torch: 0.13 does beside torch 2.13 without CUDA, the wheels of 0.14 to 0.17 do not.

    Pictures are turned as the file says and never stretched, and centre squares are resized as by all readers. Exact
    mode gives wrong frames without saying so for periodic intra refresh and MPEG program streams, and errors for edit
    lists and H.264 in AVI. So every file is looked into first, by its packets (`closed_groups`), and refused with the
    reason unless it is MP4 or Matroska (or AVI with a codec that has no B frames), every key frame is one that decoding
    can start at, no frame is hidden, and torchcodec counts and times the same frames.
    """

    def __init__(self, video: Path | Media) -> None:
        super().__init__(video)
        decoder_class = _decoder_class()
        if self.media.is_url or not self.media.is_whole_file:
            raise VideoError(
                self.media,
                "TorchCodecReader reads whole files on this machine only, no URLs and no members of archives. "
                "Use videossl.data.PyAVReader.",
            )
        self._decoder: Any = None
        try:
            exact = frame_seconds(self.media, allow_open=True)
            self._decoder = decoder_class(
                str(self.path.absolute()), dimension_order="NHWC", seek_mode="exact", num_ffmpeg_threads=1
            )
            num_frames = self._decoder.metadata.num_frames
            problem = "" if exact is None or num_frames == len(exact) else f"{num_frames} frames, not {len(exact)}"
            shown = _times(self._decoder, num_frames) if exact is None else exact
        except OpenGroupsError as error:
            problem = str(error)
        except VideoError:
            self.close()
            raise
        except _ERRORS as error:
            self.close()
            raise VideoError(self.media, _reason(error)) from error
        if problem:
            self.close()
            raise VideoError(self.media, f"torchcodec reads it wrongly ({problem}). Use videossl.data.PyAVReader.")
        self._seconds = shown

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation times from the first frame; increasing."""
        return self._seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`."""
        self._check_numbers(frames)
        if self._decoder is None:
            raise VideoError(self.media, "was closed; open it again.")
        wanted, places = np.unique(np.asarray(frames), return_inverse=True)
        starts = range(0, len(wanted), FRAMES_AT_A_TIME)
        try:
            parts = [self._pictures(wanted[start : start + FRAMES_AT_A_TIME], size) for start in starts]
        except VideoError:
            raise
        except _ERRORS as error:
            raise VideoError(self.media, _reason(error)) from error
        pictures: NDArray[np.uint8] = np.concatenate(parts)[places]
        return pictures

    def _pictures(self, wanted: NDArray[np.int64], size: int | None) -> NDArray[np.uint8]:
        batch = self._decoder.get_frames_at(wanted.tolist())
        times = batch.pts_seconds.numpy()
        if not np.allclose(times - times[0], self._seconds[wanted] - self._seconds[wanted[0]], atol=1e-3):
            raise VideoError(self.media, f"torchcodec gave other frames than {wanted[0]} to {wanted[-1]}.")
        pictures: NDArray[np.uint8] = batch.data.numpy()
        return pictures if size is None else np.stack([centre_square(picture, size) for picture in pictures])

    def close(self) -> None:
        """Give the file and the decoder back. May be called twice."""
        self._decoder = None


# What torchcodec raises when a file cannot be read.
_ERRORS = (RuntimeError, ValueError, IndexError, OSError)


def _decoder_class() -> Any:
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise UsageError(
            f"data.reader is TorchCodecReader, and torchcodec cannot be imported ({first}). Install a release that "
            "fits your torch, and FFmpeg's shared libraries (for torch 2.13: `pip install torchcodec==0.13.*`, "
            "`apt install ffmpeg`), or use videossl.data.PyAVReader."
        ) from error
    return VideoDecoder


def _times(decoder: Any, num_frames: int) -> NDArray[np.float64]:
    shown = [decoder.get_frame_at(number).pts_seconds for number in range(num_frames)]
    return np.asarray(shown, dtype=np.float64) - shown[0]


def _reason(error: Exception) -> str:
    """The last line of an error of torchcodec that says something, without the place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"torchcodec: {re.sub(r'^.*[.](cpp|h):[0-9]+, ', '', lines[-1]) if lines else type(error).__name__}"
