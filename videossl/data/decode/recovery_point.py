"""Does an H.264 picture promise that all pictures shown behind it come out exactly, if decoding starts at it?"""

from videossl.data.decode.nal_units import Bits, nal_units

SUPPLEMENT = 6  # type of a NAL unit: supplemental enhancement information (SEI)
RECOVERY_POINT = 6  # type of a message in it


def recovers_exactly(data: bytes, extradata: bytes | None) -> bool:
    """Whether a packet has a recovery point message with nothing to wait for and an exact match (ITU-T H.264, D.2.8).

    IDR pictures need none.

    Args:
        data: The packet of a key frame.
        extradata: What the container says to the decoder before the first packet.
    """
    for unit in nal_units(data, extradata):
        if unit[0] & 31 != SUPPLEMENT:
            continue
        try:
            at = 1
            while unit[at] != 0x80:  # trailing bits
                kind, at = _number(unit, at)
                size, at = _number(unit, at)
                if kind == RECOVERY_POINT:
                    bits = Bits(unit[at : at + size])
                    num_frames_to_wait = bits.unsigned()
                    return num_frames_to_wait == 0 and bits.take(1) == 1
                at += size
        except IndexError:  # cut off
            continue
    return False


def _number(unit: bytes, at: int) -> tuple[int, int]:
    """A type or size of a message, and where it ends."""
    number = 0
    while unit[at] == 0xFF:
        number += 255
        at += 1
    return number + unit[at], at + 1
