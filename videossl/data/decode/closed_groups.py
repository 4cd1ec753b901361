"""Can decoding start at every key frame of a file? Decoders that never look back need that, and nothing checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.av_file import AVFile, ffmpeg_errors, reason
from videossl.data.decode.base import VideoError
from videossl.data.decode.nal_units import nal_units
from videossl.data.decode.timeline import PacketFacts, from_packets
from videossl.data.media import Media

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

# Containers that tell presentation times and key frames, by FFmpeg's names. In AVI only codecs without B frames have
# times, and of these H.261 and H.263 have key frames that are none.
CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
AVI_CODECS = {"mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "mjpeg", "huffyuv", "ffvhuff", "ffv1", "rawvideo"}
IDR = {"h264": {5}, "hevc": {16, 17, 18, 19, 20, 21}}  # types of NAL units of pictures that decoding can start at


class OpenGroupsError(Exception):
    """Why a file needs a decoder that looks back."""


def frame_seconds(media: Media, *, allow_open: bool = False) -> NDArray[np.float64] | None:
    """Times of the frames of a file in which all groups of pictures are closed, as far as its packets tell.

    Args:
        media: The file.
        allow_open: Whether frames that are shown before a key frame may be stored behind it (leading pictures).

    Returns:
        (num_frames,) float64, from the first frame; None where only decoding can tell (VP8).

    Raises:
        VideoError: It cannot be read.
        OpenGroupsError: A decoder that jumps to key frames without looking back reads it wrongly.
    """
    file = AVFile(media)
    try:
        file.open()
        if file.container not in CONTAINERS and not (file.container == "avi" and file.codec in AVI_CODECS):
            raise OpenGroupsError(f"{file.codec} in a container of type {file.container}")
        facts = []
        for packet in file.packets():
            facts.append(PacketFacts.of(packet))
            if packet.is_keyframe and not _is_idr(packet, file.codec, file.extradata):
                raise OpenGroupsError("key frames that decoding cannot start at: periodic intra refresh, for example")
        if file.codec == "vp8":
            return None
        timeline = from_packets(facts, file.time_base, reorders=file.reorders, promised_seconds=file.promised_seconds)
    except ffmpeg_errors() as error:
        raise VideoError(media, f"cannot be read to its end: {reason(error)}.") from error
    finally:
        file.close()
    if not facts:
        raise VideoError(media, "holds no frame: its header is damaged or the recording never started.")
    problem = _problem(facts, allow_open=allow_open)
    if problem or timeline is None:
        raise OpenGroupsError(problem or "no presentation times, or none to trust")
    return timeline.seconds


def _problem(packets: list[PacketFacts], *, allow_open: bool) -> str | None:
    if any(packet.is_hidden for packet in packets):
        return "an edit list that hides frames"
    if not packets[0].is_key:
        return "no key frame at the beginning"
    if allow_open:
        return None
    key_pts: int | None = None
    for packet in packets:
        if packet.is_key:
            key_pts = packet.pts
        elif packet.pts is not None and key_pts is not None and packet.pts < key_pts:
            return "open groups of pictures: frames before a key frame are stored behind it"
    return None


def _is_idr(packet: Packet[VideoStream], codec: str, extradata: bytes | None) -> bool:
    """Whether an H.264 or HEVC packet holds a picture that decoding can start at; others are believed."""
    if codec not in IDR:
        return True
    shift, mask, length_at = (0, 0x1F, 4) if codec == "h264" else (1, 0x3F, 21)
    if not extradata or extradata[0] != 1:
        return True
    units = nal_units(bytes(packet), extradata, length_at=length_at)
    return any(unit[0] >> shift & mask in IDR[codec] for unit in units)
