"""One file opened with FFmpeg: packets out of the container, frames out of the decoder."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from videossl.data.decode.base import VideoError
from videossl.data.decode.content import Content
from videossl.data.decode.frame_numbers import FrameNumbers
from videossl.data.decode.limits import FFMPEG_OPTIONS, check_pixels, refused_size
from videossl.data.decode.recovery_point import recovers_exactly
from videossl.data.decode.timeline import KeyFrame, PacketFacts
from videossl.data.media import Media
from videossl.data.stopwatch import timed

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Packets of smaller files are kept in memory while the file is open: no seeking, which some containers do badly.
IN_MEMORY_BYTES = 8 * 2**20
# A thread of FFmpeg costs more to start than it saves on pictures up to this size.
SINGLE_THREAD_PIXELS = 512 * 512
MAX_THREADS = 4
# Damage is an error. Without this, FFmpeg patches damaged pictures up with pieces of others and says nothing.
STRICT = {"err_detect": "explode"}
# Formats that are lists of other files, by FFmpeg's names. Those are videos of their own, and not this one.
PLAYLISTS = {"concat", "dash", "hls", "imf"}
# Containers that may lose a picture without a trace, by FFmpeg's names; in others an index counts them.
LOSSY_CONTAINERS = {"h264", "mpeg", "mpegts"}
Skipped = Literal["DEFAULT", "NONREF"]


class AVFile:
    """The video stream of a file. Pictures attached as a cover are no video stream.

    Args:
        media: The file, wherever it lies; `open` opens it.

    Raises:
        VideoError: There is no such file, or nothing in it.
    """

    def __init__(self, media: Path | Media) -> None:
        self.media = Media.of(media)
        self._content = Content(self.media)
        self.identity = self._content.identity
        self.is_in_memory = self._content.num_bytes <= IN_MEMORY_BYTES
        # Only what was asked for: a playlist that calls itself .mp4 must not make us open network connections.
        self._options = {"protocol_whitelist": self._content.protocols, **FFMPEG_OPTIONS}
        self._packets: list[Packet[VideoStream]] = []
        self._opened: tuple[InputContainer, VideoStream] | None = None
        self._skipped: Skipped = "DEFAULT"  # frames that the decoder leaves out at the moment

    def open(self) -> None:
        """Open the file afresh, at its start.

        Raises:
            VideoError: FFmpeg does not know it, or there is no video in it.
        """
        import av

        self._shut()
        try:
            container = av.open(self._content.open(), "r", options=self._options, metadata_errors="replace")
        except ffmpeg_errors() as error:
            self._content.close()
            raise VideoError(self.media, f"is not a video, or its header is lost: {reason(error)}.") from error
        try:
            if container.format.name in PLAYLISTS:
                raise VideoError(
                    self.media, f"is no video but a list of other files ({container.format.name}). Give those."
                )
            stream = self._video_stream(container)
        except VideoError:
            container.close()
            self._content.close()
            raise
        if stream.codec_context.width * stream.codec_context.height <= SINGLE_THREAD_PIXELS:
            stream.thread_type, stream.thread_count = "NONE", 1
        else:
            stream.thread_type, stream.thread_count = "AUTO", min(MAX_THREADS, torch.get_num_threads())
        self._skipped = "DEFAULT"
        self._opened = container, stream

    def _video_stream(self, container: InputContainer) -> VideoStream:
        from av.stream import Disposition

        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams:
            raise VideoError(self.media, "has no video stream (sound or a cover picture only).")
        stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
        if getattr(stream, "codec_context", None) is None:
            raise VideoError(self.media, "has a video codec that this build of FFmpeg cannot decode.")
        decoder = stream.codec_context
        if decoder.width * decoder.height == 0 and not self.media.is_url:
            check_pixels(self.media, *(refused_size(str(self._content.open()), self._options) or (0, 0)))
        check_pixels(self.media, decoder.width, decoder.height)
        decoder.options = {**FFMPEG_OPTIONS, **STRICT}  # pictures may grow in mid-stream
        return stream

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
            self._content.close()

    def _live(self) -> tuple[InputContainer, VideoStream]:
        if self._opened is None:
            raise VideoError(self.media, "was closed; open it again.")
        return self._opened

    @property
    def codec(self) -> str:
        """Name of the decoder."""
        return self._live()[1].codec_context.name

    @property
    def container(self) -> str:
        """FFmpeg's names of the file format, for example "mov,mp4,m4a,3gp,3g2,mj2"."""
        return self._live()[0].format.name

    @property
    def extradata(self) -> bytes | None:
        """What the container says to the decoder before the first packet."""
        return self._live()[1].codec_context.extradata

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

    @property
    def promised_end(self) -> int | None:
        """Duration that the header claims in units of `time_base`, in AVI, where frames have no other times."""
        container, stream = self._live()
        return stream.duration if container.format.name == "avi" else None

    def read_packets(self) -> list[PacketFacts]:
        """What all packets say of themselves; those of a small file are kept.

        Raises:
            VideoError: There are none, or reading them fails.
        """
        facts = []
        try:
            for packet in self.packets():
                facts.append(PacketFacts.of(packet))
                if self.is_in_memory:
                    self._packets.append(packet)
        except ffmpeg_errors() as error:
            raise VideoError(self.media, f"cannot be read to its end: {reason(error)}.") from error
        if not facts:
            raise VideoError(self.media, "holds no frame: its header is damaged or the recording never started.")
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
            packets = self.packets()
        decoder, numbers = self._live()[1].codec_context, self._frame_numbers()
        has_begun = False
        for packet in packets:
            if numbers is not None and numbers.is_gap(bytes(packet)):
                raise ValueError("a picture is missing from the stream")
            try:
                frames = decoder.decode(packet)
            except ffmpeg_errors():
                if has_begun:
                    raise
                continue
            has_begun = has_begun or bool(frames)
            yield from frames
        yield from decoder.decode(None)

    def frames_from(
        self, key: KeyFrame, *, is_first: bool, needed: Collection[int] | None = None
    ) -> Iterator[VideoFrame]:
        """Frames decoded from this key frame on, or from an earlier one if the container cannot jump to it.

        Args:
            key: Where to begin.
            is_first: Whether it is the first key frame of the file.
            needed: Timestamps of the frames that are needed. Others that no frame is predicted from are not decoded,
                and nothing behind the last needed packet is; neither are frames that are shown before the key frame,
                where it promises that those behind it come out exactly. None: all frames.

        Raises:
            FFmpegError: The data are damaged.
        """
        packets = self._packets_from(key, is_first=is_first)
        decoder, numbers = self._live()[1].codec_context, self._frame_numbers()
        missing = None if needed is None else set(needed)
        skips_leading = False
        for number, packet in enumerate(packets):
            if packet.is_corrupt:  # what is predicted from it comes out wrong, and not every decoder says so
                break
            if numbers is not None and numbers.is_gap(bytes(packet)):  # no decoder says so
                break
            if missing is None:
                yield from decoder.decode(packet)
                continue
            if number == 0 and self.codec == "h264" and packet.pts == key.pts:
                skips_leading = recovers_exactly(bytes(packet), self.extradata)
            if skips_leading and packet.pts is not None and packet.pts < key.pts:
                continue  # predicted from frames before the key frame, which are not there: an error, if it was decoded
            skipped: Skipped = "DEFAULT" if packet.pts in missing else "NONREF"
            if skipped != self._skipped:
                decoder.skip_frame = self._skipped = skipped
            yield from decoder.decode(packet)
            missing.discard(packet.pts)
            if not missing:  # the decoder has all that it needs: let it give the frames that it still holds
                break
        yield from decoder.decode(None)

    def _frame_numbers(self) -> FrameNumbers | None:
        """What finds lost pictures in packets from the one on at which decoding starts; None where none can be lost."""
        if self.codec != "h264" or self.container not in LOSSY_CONTAINERS:
            return None
        return FrameNumbers(self.extradata)

    def _packets_from(self, key: KeyFrame, *, is_first: bool) -> Iterator[Packet[VideoStream]]:
        container, stream = self._live()
        if self._skipped != "DEFAULT":
            stream.codec_context.skip_frame = self._skipped = "DEFAULT"
        if self.is_in_memory:
            stream.codec_context.flush_buffers()
            return islice(self._packets, key.packet, None)
        for timestamp in (key.pts, key.dts):
            try:
                with timed("seek"):
                    container.seek(timestamp, stream=stream)
                    packets = self.packets()
                    first = next((packet for packet in packets if packet.is_keyframe), None)
            except ffmpeg_errors():  # a container without an index: read it from the start
                break
            if first is None or first.pts is None:
                continue
            if first.pts == key.pts or (first.pts < key.pts and not is_first):
                return chain([first], packets)
        self.open()
        return dropwhile(lambda packet: not packet.is_keyframe, self.packets())

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Packets of the video from where the file stands."""
        container, stream = self._live()
        return (packet for packet in container.demux(stream) if packet.size)


def ffmpeg_errors() -> tuple[type[Exception], ...]:
    """What PyAV raises when a file cannot be read or decoded; IndexError if damage looks like one more stream."""
    import av

    return (av.error.FFmpegError, OSError, UnicodeError, ValueError, IndexError)


def reason(error: Exception) -> str:
    """What an error of FFmpeg says, without its number and path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
