"""One file opened with FFmpeg: packets out of the container, frames out of the decoder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import TYPE_CHECKING

from videossl.data.decode.base import VideoError
from videossl.data.decode.timeline import KeyFrame, PacketFacts

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Packets of smaller files are kept in memory while the file is open: no seeking, which some containers do badly.
IN_MEMORY_BYTES = 8 * 2**20
# A thread of FFmpeg costs more to start than it saves on pictures up to this size.
SINGLE_THREAD_PIXELS = 512 * 512
MAX_THREADS = 4
# Only files: a playlist that calls itself .mp4 must not make us open network connections.
OPTIONS = {"protocol_whitelist": "file"}


class AVFile:
    """The video stream of a file. Pictures attached as a cover are no video stream.

    Args:
        path: The file; `open` opens it.

    Raises:
        VideoError: There is no such file, or nothing in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            status = path.stat()
        except OSError as error:
            raise VideoError(path, f"cannot be opened: {error.strerror}.") from error
        if not path.is_file():
            raise VideoError(path, "is not a file.")
        if status.st_size == 0:
            raise VideoError(path, "is empty (0 bytes).")
        self.identity = (os.fspath(path.absolute()), status.st_mtime_ns, status.st_size)
        self.is_in_memory = status.st_size <= IN_MEMORY_BYTES
        self._packets: list[Packet[VideoStream]] = []
        self._opened: tuple[InputContainer, VideoStream] | None = None

    def open(self) -> None:
        """Open the file afresh, at its start.

        Raises:
            VideoError: FFmpeg does not know it, or there is no video in it.
        """
        import av
        from av.stream import Disposition

        self._shut()
        try:
            container = av.open(self.identity[0], options=OPTIONS, metadata_errors="replace")
        except ffmpeg_errors() as error:
            raise VideoError(self.path, f"is not a video, or its header is lost: {reason(error)}.") from error
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams:
            container.close()
            raise VideoError(self.path, "has no video stream (sound or a cover picture only).")
        stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
        if getattr(stream, "codec_context", None) is None:
            container.close()
            raise VideoError(self.path, "has a video codec that this build of FFmpeg cannot decode.")
        if stream.codec_context.width * stream.codec_context.height <= SINGLE_THREAD_PIXELS:
            stream.thread_type, stream.thread_count = "NONE", 1
        else:
            stream.thread_type, stream.thread_count = "AUTO", min(MAX_THREADS, os.cpu_count() or 1)
        self._opened = container, stream

    def close(self) -> None:
        """Give file, packets and decoder back. May be called twice."""
        self._packets = []
        self._shut()

    def _shut(self) -> None:
        # Containers that nobody closes leak. The stream must be let go too: it holds the decoder and its threads, and a
        # forked child that got to end them would wait for ever.
        if self._opened is not None:
            container, _ = self._opened
            self._opened = None
            container.close()

    def _live(self) -> tuple[InputContainer, VideoStream]:
        if self._opened is None:
            raise VideoError(self.path, "was closed; open it again.")
        return self._opened

    @property
    def codec(self) -> str:
        """Name of the decoder."""
        return self._live()[1].codec_context.name

    @property
    def reorders(self) -> bool:
        """Whether frames are shown in another order than they are decoded in."""
        return self._live()[1].codec_context.has_b_frames

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of a timestamp."""
        return self._live()[1].time_base or Fraction(1, 1000)

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second, as good as the header knows."""
        stream = self._live()[1]
        return stream.guessed_rate or stream.average_rate or Fraction(25)

    @property
    def promised_seconds(self) -> float | None:
        """Duration that the header claims."""
        duration = self._live()[0].duration
        return None if duration is None else duration / 1_000_000

    def read_packets(self) -> list[PacketFacts]:
        """What all packets say of themselves; those of a small file are kept.

        Raises:
            VideoError: There are none, or reading them fails.
        """
        facts = []
        try:
            for packet in self._demux():
                facts.append(
                    PacketFacts(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard, packet.is_corrupt)
                )
                if self.is_in_memory:
                    self._packets.append(packet)
        except ffmpeg_errors() as error:
            raise VideoError(self.path, f"cannot be read to its end: {reason(error)}.") from error
        if not facts:
            raise VideoError(self.path, "holds no frame: its header is damaged or the recording never started.")
        return facts

    def frames(self) -> Iterator[VideoFrame]:
        """All frames in the order in which they are shown; packets that lead to no first frame are passed over.

        Raises:
            FFmpegError: Data behind the first frame are damaged.
        """
        if self.is_in_memory:
            packets = iter(self._packets)
            self._live()[1].codec_context.flush_buffers()
        else:
            self.open()
            packets = self._demux()
        decoder = self._live()[1].codec_context
        has_begun = False
        for packet in packets:
            try:
                frames = decoder.decode(packet)
            except ffmpeg_errors():
                if has_begun:
                    raise
                continue
            has_begun = has_begun or bool(frames)
            yield from frames
        yield from decoder.decode(None)

    def frames_from(self, key: KeyFrame, *, is_first: bool) -> Iterator[VideoFrame]:
        """Frames decoded from this key frame on, or from an earlier one if the container cannot jump to it.

        Args:
            key: Where to begin.
            is_first: Whether it is the first key frame of the file.

        Raises:
            FFmpegError: The data are damaged.
        """
        packets = self._packets_from(key, is_first=is_first)
        decoder = self._live()[1].codec_context
        for packet in packets:
            yield from decoder.decode(packet)
        yield from decoder.decode(None)

    def _packets_from(self, key: KeyFrame, *, is_first: bool) -> Iterator[Packet[VideoStream]]:
        container, stream = self._live()
        if self.is_in_memory:
            stream.codec_context.flush_buffers()
            return islice(self._packets, key.packet, None)
        for timestamp in () if is_first else (key.pts, key.dts):
            try:
                container.seek(timestamp, stream=stream)
                packets = self._demux()
                first = next((packet for packet in packets if packet.is_keyframe), None)
            except ffmpeg_errors():  # a container without an index: read it from the start
                break
            if first is not None and first.pts is not None and first.pts <= key.pts:
                return chain([first], packets)
        self.open()
        return dropwhile(lambda packet: not packet.is_keyframe, self._demux())

    def _demux(self) -> Iterator[Packet[VideoStream]]:
        container, stream = self._live()
        return (packet for packet in container.demux(stream) if packet.size)


def ffmpeg_errors() -> tuple[type[Exception], ...]:
    """What PyAV raises when a file cannot be read or decoded."""
    import av

    return (av.error.FFmpegError, OSError, UnicodeError, ValueError)


def reason(error: Exception) -> str:
    """What an error of FFmpeg says, without its number and path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
