"""Is a picture missing from a stream of H.264? Its pictures are numbered, and FFmpeg does not tell of the holes.

Syntax: ITU-T H.264, 7.3.2.1 (sequence parameter set), 7.3.2.2 (picture parameter set), 7.3.3 (slice header) and 7.4.3
(`frame_num`).
"""

from videossl.data.decode.nal_units import Bits, nal_units

SLICES, SEQUENCE_SET, PICTURE_SET = (1, 5), 7, 8  # types of NAL units
INSTANT_REFRESH = 5
# Whose sequence parameter sets tell the format of chroma.
HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}


class FrameNumbers:
    """Follows the numbers of pictures that others are predicted from: each is that of the one before, or the next.

    Numbers are looked at from the first picture on that `is_gap` is asked of; make another one to begin elsewhere.
    Streams that are allowed to leave numbers out have no gaps. A picture that sets the count back to 0 without being
    an IDR picture (memory management operation 5, which hardly any encoder uses) looks like a gap.

    Args:
        extradata: What the container says to the decoder before the first packet.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._num_bits: dict[int, int | None] = {}  # of frame_num, by sequence set; None: gaps are allowed
        self._has_planes: dict[int, bool] = {}
        self._sequence_of: dict[int, int] = {}  # by picture set
        self._before: int | None = None  # number of the last picture that others may be predicted from
        self.is_gap(extradata or b"")

    def is_gap(self, data: bytes) -> bool:
        """Whether pictures are missing before this one.

        Args:
            data: NAL units of one picture, each behind a start code (Annex B).
        """
        try:
            return self._is_gap(data)
        except IndexError:  # a unit that is cut off: the decoder will complain of it
            return False

    def _is_gap(self, data: bytes) -> bool:
        for unit in nal_units(data, None):
            importance, kind = unit[0] >> 5 & 3, unit[0] & 31
            if kind == SEQUENCE_SET:
                self._read_sequence_set(Bits(unit[1:]))
            elif kind == PICTURE_SET:
                bits = Bits(unit[1:])
                picture_set = bits.unsigned()
                self._sequence_of[picture_set] = bits.unsigned()
            elif kind in SLICES:
                return self._is_gap_before(Bits(unit[1:]), kind == INSTANT_REFRESH, importance > 0)
        return False

    def _is_gap_before(self, bits: Bits, is_refresh: bool, is_reference: bool) -> bool:
        bits.unsigned()  # first_mb_in_slice
        bits.unsigned()  # slice_type
        sequence_set = self._sequence_of.get(bits.unsigned(), -1)
        num_bits = self._num_bits.get(sequence_set)
        if num_bits is None:
            return False
        if self._has_planes[sequence_set]:
            bits.take(2)  # colour_plane_id
        number, before = bits.take(num_bits), self._before
        if is_reference:
            self._before = number
        if is_refresh or before is None:
            return False
        return number not in (before, (before + 1) % (1 << num_bits))

    def _read_sequence_set(self, bits: Bits) -> None:
        profile = bits.take(8)
        bits.take(16)  # constraints and level
        sequence_set = bits.unsigned()
        chroma, has_planes = 1, False
        if profile in HIGH_PROFILES:
            chroma = bits.unsigned()
            has_planes = chroma == 3 and bits.take(1) == 1
            bits.unsigned()  # bit_depth_luma_minus8
            bits.unsigned()  # bit_depth_chroma_minus8
            bits.take(1)  # qpprime_y_zero_transform_bypass_flag
            if bits.take(1):
                for number in range(12 if chroma == 3 else 8):
                    if bits.take(1):
                        bits.skip_scaling_list(16 if number < 6 else 64)
        num_bits = bits.unsigned() + 4
        order = bits.unsigned()  # pic_order_cnt_type
        if order == 0:
            bits.unsigned()
        elif order == 1:
            bits.take(1)
            bits.signed()
            bits.signed()
            for _ in range(bits.unsigned()):
                bits.signed()
        bits.unsigned()  # max_num_ref_frames
        self._num_bits[sequence_set] = None if bits.take(1) else num_bits
        self._has_planes[sequence_set] = has_planes
