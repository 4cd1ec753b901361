"""NAL units of H.264 and HEVC, and the bits in them."""

import re
from collections.abc import Iterator

START_CODE = re.compile(rb"\x00\x00\x01")
HEADER_BYTES = 512  # of a unit: more than any parameter set has, with all its scaling lists


def nal_units(data: bytes, extradata: bytes | None, *, length_at: int = 4) -> Iterator[bytes]:
    """The beginnings of the NAL units of a packet, without emulation prevention.

    Args:
        data: The packet: units behind start codes (Annex B), or behind their lengths (ISO/IEC 14496-15).
        extradata: What the container says to the decoder before the first packet; it tells which of the two.
        length_at: Byte of the extradata that tells how long the lengths are: 4 for H.264, 21 for HEVC.
    """
    pieces = _behind_lengths(data, extradata, length_at) if extradata and extradata[0] == 1 else _behind_codes(data)
    return (unit.replace(b"\x00\x00\x03", b"\x00\x00") for unit in pieces if unit)


def _behind_codes(data: bytes) -> Iterator[bytes]:
    for found in START_CODE.finditer(data):
        unit = data[found.end() : found.end() + HEADER_BYTES]
        following = unit.find(b"\x00\x00\x01")
        yield unit if following < 0 else unit[:following]


def _behind_lengths(data: bytes, extradata: bytes, length_at: int) -> Iterator[bytes]:
    num_bytes = (extradata[length_at] & 3) + 1 if len(extradata) > length_at else 4
    at = 0
    while at + num_bytes < len(data):
        length = int.from_bytes(data[at : at + num_bytes], "big")
        at += num_bytes
        yield data[at : at + min(length, HEADER_BYTES)]
        at += length


class Bits:
    """Bits of a NAL unit, from the first one on.

    Args:
        data: Without emulation prevention.

    Raises:
        IndexError: By all methods, where there are too few.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, num_bits: int) -> int:
        """The next bits as a number."""
        if num_bits > self._left:
            raise IndexError("no bits left")
        self._left -= num_bits
        return self._value >> self._left & ((1 << num_bits) - 1)

    def unsigned(self) -> int:
        """Exp-Golomb code ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """Exp-Golomb code se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def skip_scaling_list(self, length: int) -> None:
        """A scaling list of so many numbers (7.3.2.1.1.1)."""
        last = following = 8
        for _ in range(length):
            if following:
                following = (last + self.signed()) % 256
            last = following or last
