"""Decode with PyAV (FFmpeg): the default, because every frame is found by its timestamp and never guessed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.av_file import AVFile, ffmpeg_errors, reason
from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.rgb import Pictures, RGBConverter, SizeChangeError
from videossl.data.decode.timeline import Timeline, TimelineCache, from_decoding, from_packets, lost_frames
from videossl.data.media import Media

if TYPE_CHECKING:
    from av import VideoFrame

# Decoding this many frames that nobody asked for is cheaper than a jump to the next key frame.
FRAMES_WORTH_A_JUMP = 8
# Whose decoders can leave out the frames that no other frame is predicted from, and see them before they decode.
SKIPPING_CODECS = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "vp8", "vp9"}
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

    A picture that is lost whole from a transport stream of H.264 is damage too (`frame_numbers`): FFmpeg puts a copy of
    the frame before in its place, so that what is predicted from it shows an earlier instant, and marks nothing. Not
    seen: such a loss in other codecs, and damage that still decodes, to another picture (VP9 and HEVC hold no checks).
    """

    def __init__(self, video: Path | Media) -> None:
        super().__init__(video)
        self._converter: RGBConverter | None = None
        self._counting: Iterator[VideoFrame] | None = None  # where frames can only be counted: the next ones
        self._counted = 0  # how many came before them
        self._file = AVFile(self.media)
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

    @property
    def keyframes(self) -> NDArray[np.int64]:
        """(k,) int64, increasing: frames at which decoding can start; empty where frames can only be counted."""
        pts = self._timeline.pts
        if pts is None:
            return np.empty(0, dtype=np.int64)
        found = np.unique(np.searchsorted(pts, [key.pts for key in self._timeline.keys])).astype(np.int64)
        return found[found < len(pts)]

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, for example "h264"."""
        return self._file._live()[1].codec_context.codec.canonical_name

    @property
    def container(self) -> str:
        """FFmpeg's names of the file format, for example "mov,mp4,m4a,3gp,3g2,mj2"."""
        return self._file._live()[0].format.name

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`. One pass forward over the frames asked for."""
        self._check_numbers(frames)
        wanted, places = np.unique(np.asarray(frames), return_inverse=True)
        if self._converter is None or self._converter.size != size:
            self._converter = RGBConverter(size)
        pictures = Pictures(wanted.tolist(), self._converter)
        try:
            if self._timeline.pts is None:
                self._count_to(pictures)
            else:
                self._find(self._timeline.pts, pictures)
        except SizeChangeError as error:
            raise VideoError(self.media, str(error)) from error
        except ffmpeg_errors() as error:
            raise VideoError(
                self.media, f"damaged at or before frame {pictures.missing[0]}: {reason(error)}."
            ) from error
        return pictures.in_order(places)

    def close(self) -> None:
        """Give the file and the decoder back. May be called twice."""
        self._converter = None
        self._counting = None
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
        num_lost = lost_frames(facts, file.promised_end)
        if num_lost:
            raise VideoError(
                self.media, f"has lost {num_lost} frames that its header names, and AVI does not say which."
            )
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
            raise VideoError(self.media, f"damaged behind frame {len(pts)}: {reason(error)}.") from error
        if not pts:
            raise VideoError(self.media, "has a video stream of which no frame can be decoded.")
        return from_decoding(pts, time_base, frame_rate)

    def _count_to(self, pictures: Pictures) -> None:
        last = pictures.missing[-1]
        # A long video is read in pieces: behind the last one, go on from there instead of from the start.
        if self._counting is None or pictures.missing[0] < self._counted:
            self._counting, self._counted = self._file.frames(), 0
        counting, self._counting = self._counting, None  # what raises is not gone on with
        for number, frame in zip(range(self._counted, last + 1), counting, strict=False):
            if frame.is_corrupt:
                raise VideoError(self.media, f"damaged at frame {number}.")
            pictures.put(number, frame)
        self._counting, self._counted = counting, last + 1
        if pictures.missing:
            self._counting = None
            raise VideoError(self.media, f"ends before frame {last}.")

    def _find(self, pts: NDArray[np.int64], pictures: Pictures) -> None:
        for run in list(self._runs(pts, pictures.missing)):
            while run:
                self._find_next(run, pts, pictures)

    def _runs(self, pts: NDArray[np.int64], frames: Sequence[int]) -> Iterator[deque[int]]:
        """Frames to be decoded in one go; from one run to the next it is better to jump."""
        run: deque[int] = deque()
        for frame in frames:
            if run and frame - run[-1] > FRAMES_WORTH_A_JUMP:
                key = self._timeline.keys[self._timeline.key_before(frame)]
                if np.searchsorted(pts, key.pts) - run[-1] > FRAMES_WORTH_A_JUMP:
                    yield run
                    run = deque()
            run.append(frame)
        yield run

    def _find_next(self, run: deque[int], pts: NDArray[np.int64], pictures: Pictures) -> None:
        """Decode the next frame of a run, and as many behind it as come out right."""
        key = self._timeline.key_before(run[0])
        num_left, back, can_skip = len(run), 0, self._file.codec in SKIPPING_CODECS
        lean = can_skip
        while True:
            try:
                self._forward(key, run, pts, pictures, lean=lean)
            except ffmpeg_errors():
                if key == 0 and not lean and len(run) == num_left:
                    raise
            if len(run) < num_left:
                return
            # This frame does not come out right from there: decode all frames, or start earlier, and ever earlier.
            if lean and (back == 0 or key == 0):
                lean = False
                continue
            if key == 0:
                raise VideoError(self.media, f"damaged at or before frame {run[0]}.")
            back = max(1, 2 * back)
            key, lean = max(0, key - back), can_skip

    def _forward(self, key: int, run: deque[int], pts: NDArray[np.int64], pictures: Pictures, *, lean: bool) -> None:
        """Take the frames at the front of a run as they come, until one is missing."""
        start = self._timeline.keys[key]
        wanted = pts[list(run)].tolist()
        nexts = iter(wanted)
        next_pts = next(nexts)
        for frame in self._file.frames_from(start, is_first=key == 0, needed=wanted if lean else None):
            shown = frame.pts
            if shown is None or shown < start.pts:
                continue  # shown before the key frame: it may need frames from before
            if frame.is_corrupt or shown > next_pts or (shown == start.pts and not _is_intra(frame)):
                return
            if shown < next_pts:
                continue
            pictures.put(run.popleft(), frame)
            if not run:
                return
            next_pts = next(nexts)


def _is_intra(frame: VideoFrame) -> bool:
    """Whether decoding can start at a frame, which containers and parsers say of some frames of which it is not true.

    Decoders that tell no type of frames are believed.
    """
    from av.video.frame import PictureType

    return bool(frame.key_frame) or frame.pict_type not in (PictureType.P, PictureType.B)
