"""Which frames a file shows and when, read from its packets without decoding them.

Headers lie about the number of frames, and frame numbers divided by the frame rate are wrong wherever the rate varies;
the presentation timestamps (pts) of the packets are right in nearly all files. `from_packets` says when they are not.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

HOLE = 1.5  # a gap this many times the usual one is a hole


class PacketFacts(NamedTuple):
    """What the timeline needs to know of one packet; packets are in decoding order."""

    pts: int | None
    dts: int | None
    is_key: bool
    is_hidden: bool
    is_cut_off: bool

    @classmethod
    def of(cls, packet: "Packet[VideoStream]") -> "PacketFacts":
        """What a packet of PyAV says of itself."""
        return cls(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard, packet.is_corrupt)


class KeyFrame(NamedTuple):
    """A place where decoding can start."""

    packet: int
    pts: int
    dts: int


@dataclass(frozen=True)
class Timeline:
    """Frames of a file in the order in which they are shown.

    Attributes:
        seconds: (n,) float64, from the first frame, increasing.
        pts: (n,) int64, in units of the stream's time base; None where timestamps tell nothing, so that frames can only
            be counted from the start of the file.
        keys: Key frames by increasing pts and packet; the first frame is at or after the first key.
    """

    seconds: NDArray[np.float64]
    pts: NDArray[np.int64] | None = None
    keys: tuple[KeyFrame, ...] = ()

    def key_before(self, frame: int) -> int:
        """Number of the last key frame that is shown at or before this frame."""
        if self.pts is None:
            return 0
        return max(0, bisect_right(self.keys, int(self.pts[frame]), key=lambda key: key.pts) - 1)


def from_packets(
    packets: Sequence[PacketFacts], time_base: Fraction, *, reorders: bool, promised_seconds: float | None
) -> Timeline | None:
    """The timeline that the packets tell, or None where only decoding can tell it.

    Args:
        packets: All packets of the video stream, in decoding order.
        time_base: Seconds per unit of pts and dts.
        reorders: Whether the stream has frames that are shown in another order than they are decoded in (B frames).
        promised_seconds: Duration that the header claims, if any.
    """
    first_key = next((number for number, packet in enumerate(packets) if packet.is_key), None)
    if first_key is None:
        return None
    playable = packets[first_key:]
    if any(packet.pts is None for packet in playable):
        return None
    pts = np.array([packet.pts for packet in playable], dtype=np.int64)
    dts = np.array([packet.dts for packet in playable if packet.dts is not None], dtype=np.int64)
    if len(dts) == 0 or (np.diff(dts) < 0).any() or len(np.unique(pts)) < len(pts):
        return None  # no timestamps to trust, or they start again in the middle
    if reorders and len(pts) > 2 and (np.diff(pts) > 0).all():
        return None  # the container holds decoding times only (AVI), and FFmpeg took them for presentation times
    # Frames shown before the first key frame need frames that the file does not have.
    shown = (pts >= pts[0]) & ~np.array([packet.is_hidden for packet in playable])
    if playable[0].is_hidden:  # an edit list that starts behind the first key frame
        shown = ~np.array([packet.is_hidden for packet in playable])
    if playable[-1].is_cut_off:
        # Packets from here on are lost. They would have been shown at their decoding time or later.
        shown &= pts < dts[-1]
    times = np.sort(pts[shown])
    if len(times) == 0:
        return None
    if reorders and promised_seconds is not None:
        times = _without_torn_end(times, last_dts=int(dts[-1]), promised=float(promised_seconds / time_base))
    keys = [
        KeyFrame(first_key + number, int(pts[number]), int(pts[number]) if packet.dts is None else packet.dts)
        for number, packet in enumerate(playable)
        if packet.is_key
    ]
    return Timeline(_seconds(times, float(time_base)), times, tuple(_increasing(keys)))


def from_decoding(pts: Sequence[int | None], time_base: Fraction, frame_rate: Fraction) -> Timeline:
    """The timeline of frames that were decoded one after the other.

    Args:
        pts: Timestamps of the frames, in the order in which the decoder gave them. A few may be missing.
        time_base: Seconds per unit of pts.
        frame_rate: Frames per second, used where the timestamps do not increase.
    """
    numbers = [number for number, value in enumerate(pts) if value is not None]
    known = [value for value in pts if value is not None]
    # A frame without a time between others that have one: a packet whose header is damaged.
    if len(known) > len(pts) / 2 and pts[0] is not None and pts[-1] is not None and (np.diff(known) > 0).all():
        return Timeline(_seconds(np.interp(np.arange(len(pts)), numbers, known), float(time_base)))
    return Timeline(_seconds(np.arange(len(pts)), 1 / float(frame_rate)))


def lost_frames(packets: Sequence[PacketFacts], promised_end: int | None) -> int:
    """Frames that a container without times has lost, somewhere: all behind them would have wrong numbers.

    Args:
        packets: All packets of the video stream.
        promised_end: Where the last frame should end, in units of dts; None if nothing was promised.
    """
    times = [packet.dts if packet.pts is None else packet.pts for packet in packets]
    known = np.sort([time for time in times if time is not None])
    if promised_end is None or len(known) < 2:
        return 0
    frame = max(1, int(np.median(np.diff(known))))
    return max(0, (promised_end - int(known[-1])) // frame - 1)


def nearest_frames(frame_seconds: NDArray[np.float64], seconds: ArrayLike) -> NDArray[np.int64]:
    """Numbers of the frames that are shown nearest to some instants; of two that are as near, the earlier.

    Args:
        frame_seconds: (n,) float64, times of all frames, increasing.
        seconds: (N,) instants in the same time.

    Returns:
        (N,) int64, -1 for instants that lie more than the usual distance of frames before the first or behind the last.
    """
    instants = np.asarray(seconds, dtype=np.float64).reshape(-1)
    usual = float(np.median(np.diff(frame_seconds))) if len(frame_seconds) > 1 else np.inf
    later = np.clip(np.searchsorted(frame_seconds, instants), 1, max(1, len(frame_seconds) - 1))
    earlier = later - 1
    later = np.minimum(later, len(frame_seconds) - 1)
    is_later = frame_seconds[later] - instants < instants - frame_seconds[earlier]
    nearest = np.where(is_later, later, earlier)
    outside = ~((instants >= frame_seconds[0] - usual) & (instants <= frame_seconds[-1] + usual))
    return np.where(outside, -1, nearest).astype(np.int64)


def _seconds(times: NDArray[np.int64 | np.float64], unit_seconds: float) -> NDArray[np.float64]:
    return (times - times[0]).astype(np.float64) * unit_seconds


def _without_torn_end(times: NDArray[np.int64], *, last_dts: int, promised: float) -> NDArray[np.int64]:
    """Leave out frames behind a hole that a cut-off file has at its end: their B frames are lost.

    Dropping a frame too many at the end of a file does no harm; a hole would be taken for a pause.
    """
    gaps = np.diff(times)
    if len(gaps) < 2 or times[-1] - times[0] + 2 * np.median(gaps) >= promised:
        return times
    holes = np.flatnonzero((gaps > HOLE * np.median(gaps)) & (times[1:] > last_dts))
    return times[: holes[0] + 1] if len(holes) else times


def _increasing(keys: list[KeyFrame]) -> list[KeyFrame]:
    """Key frames that are shown in the order in which they are decoded; others are no good as starting points."""
    kept: list[KeyFrame] = []
    for key in keys:
        if not kept or key.pts > kept[-1].pts:
            kept.append(key)
    return kept


class TimelineCache:
    """Timelines of large files, whose packets take long to walk; the least recently used are forgotten.

    Args:
        max_frames: Frames of all timelines together, about 16 bytes each.
    """

    def __init__(self, max_frames: int) -> None:
        self.max_frames = max_frames
        self._timelines: OrderedDict[tuple[str, int, int], Timeline] = OrderedDict()
        self._num_frames = 0

    def get(self, key: tuple[str, int, int]) -> Timeline | None:
        """The timeline of the file with this path, modification time and size."""
        timeline = self._timelines.get(key)
        if timeline is not None:
            self._timelines.move_to_end(key)
        return timeline

    def put(self, key: tuple[str, int, int], timeline: Timeline) -> None:
        """Remember a timeline."""
        if key not in self._timelines:
            self._num_frames += len(timeline.seconds)
        self._timelines[key] = timeline
        while self._num_frames > self.max_frames and len(self._timelines) > 1:
            _, forgotten = self._timelines.popitem(last=False)
            self._num_frames -= len(forgotten.seconds)
