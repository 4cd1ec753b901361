"""Decode with PyAV (FFmpeg): the default, because every frame is found by its timestamp and never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.av_file import AVFile, ffmpeg_errors, reason
from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.picture import centre_square, turned
from videossl.data.decode.timeline import Timeline, TimelineCache, from_decoding, from_packets

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter

# Decoding this many frames that nobody asked for is cheaper than a jump to the next key frame.
FRAMES_WORTH_A_JUMP = 8
HIDDEN_FRAMES_CODECS = {"vp8"}  # some of their packets hold a frame that is never shown, and nothing says so

_timelines = TimelineCache(max_frames=8_000_000)


class PyAVReader(VideoReader):
    """Frame-exact reader for whatever FFmpeg decodes.

    The timestamps of all packets are read first, so frame i is the i-th picture shown whatever headers, edit lists or B
    frames say; every decoded frame is then known by its timestamp. A frame that does not come out right after a jump to
    a key frame (open groups of pictures, periodic intra refresh) is decoded again from an earlier one. Where timestamps
    tell nothing (H.264 in AVI, raw streams), frames are counted from the start of the file.

    Damage is an error where it can be seen: frames at and behind it, up to the next key frame, raise `VideoError`.
    A file that was cut off is read up to the cut.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._reformatter: VideoReformatter | None = None
        self._file = AVFile(self.path)
        try:
            self._file.open()
            self._timeline = self._find_timeline()
        except BaseException:
            self.close()
            raise

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation times from the first frame; increasing."""
        return self._timeline.seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`. One pass forward over the frames asked for."""
        self._check_numbers(frames)
        wanted = sorted(set(frames))
        pictures: dict[int, NDArray[np.uint8]] = {}
        try:
            if self._timeline.pts is None:
                self._count_to(wanted, pictures, size)
            else:
                self._find(wanted, self._timeline.pts, pictures, size)
        except ffmpeg_errors() as error:
            missing = next(frame for frame in wanted if frame not in pictures)
            raise VideoError(self.path, f"damaged at or before frame {missing}: {reason(error)}.") from error
        shapes = {picture.shape for picture in pictures.values()}
        if len(shapes) > 1:
            sides = " and ".join(f"{width}x{height}" for height, width, _ in sorted(shapes))
            raise VideoError(self.path, f"its pictures change size: {sides}.")
        return np.stack([pictures[frame] for frame in frames])

    def close(self) -> None:
        """Give the file and the decoder back. May be called twice."""
        self._reformatter = None
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()

    def _find_timeline(self) -> Timeline:
        file = self._file
        known = None if file.is_in_memory else _timelines.get(file.identity)
        if known is not None:
            return known
        facts = file.read_packets()
        timeline = None
        if file.codec not in HIDDEN_FRAMES_CODECS:
            timeline = from_packets(
                facts, file.time_base, reorders=file.reorders, promised_seconds=file.promised_seconds
            )
        if timeline is None:
            timeline = self._count_all()
        if not file.is_in_memory:
            _timelines.put(file.identity, timeline)
        return timeline

    def _count_all(self) -> Timeline:
        time_base, frame_rate = self._file.time_base, self._file.frame_rate
        pts: list[int | None] = []
        try:
            pts.extend(frame.pts for frame in self._file.frames())
        except ffmpeg_errors() as error:
            raise VideoError(self.path, f"damaged behind frame {len(pts)}: {reason(error)}.") from error
        if not pts:
            raise VideoError(self.path, "has a video stream of which no frame can be decoded.")
        return from_decoding(pts, time_base, frame_rate)

    def _count_to(self, wanted: list[int], pictures: dict[int, NDArray[np.uint8]], size: int | None) -> None:
        remaining = set(wanted)
        for number, frame in enumerate(islice(self._file.frames(), wanted[-1] + 1)):
            if frame.is_corrupt:
                raise VideoError(self.path, f"damaged at frame {number}.")
            if number in remaining:
                pictures[number] = self._picture(frame, size)
        if len(pictures) < len(wanted):
            raise VideoError(self.path, f"ends before frame {wanted[-1]}.")

    def _find(
        self, wanted: list[int], pts: NDArray[np.int64], pictures: dict[int, NDArray[np.uint8]], size: int | None
    ) -> None:
        remaining = list(reversed(wanted))
        while remaining:
            num_remaining = len(remaining)
            key = self._timeline.key_before(remaining[-1])
            back = 1
            while True:
                try:
                    self._forward(key, remaining, pts, pictures, size)
                except ffmpeg_errors():
                    if key == 0 and len(remaining) == num_remaining:
                        raise
                if len(remaining) < num_remaining:
                    break
                if key == 0:
                    raise VideoError(self.path, f"damaged at or before frame {remaining[-1]}.")
                # This frame does not come out right from there: start earlier, and ever earlier.
                key, back = max(0, key - back), 2 * back

    def _forward(
        self,
        key: int,
        remaining: list[int],
        pts: NDArray[np.int64],
        pictures: dict[int, NDArray[np.uint8]],
        size: int | None,
    ) -> None:
        """Take the frames at the end of `remaining` as they come, until one is missing or better jumped to."""
        start = self._timeline.keys[key]
        for frame in self._file.frames_from(start, is_first=key == 0):
            if frame.pts is None or frame.pts < start.pts:
                continue  # shown before the key frame: it may need frames from before
            if frame.is_corrupt or frame.pts > pts[remaining[-1]]:
                return
            if frame.pts < pts[remaining[-1]]:
                continue
            number = remaining.pop()
            pictures[number] = self._picture(frame, size)
            if not remaining:
                return
            next_key = self._timeline.keys[self._timeline.key_before(remaining[-1])]
            if np.searchsorted(pts, next_key.pts) - number > FRAMES_WORTH_A_JUMP:
                return

    def _picture(self, frame: VideoFrame, size: int | None) -> NDArray[np.uint8]:
        from av.video.reformatter import VideoReformatter

        if self._reformatter is None:  # one for all frames: making it costs more than using it
            self._reformatter = VideoReformatter()
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        picture = turned(np.asarray(rgb.to_ndarray(), dtype=np.uint8), frame.rotation)
        return picture if size is None else centre_square(picture, size)
