"""Open groups of pictures of H.264: what is shown behind a key frame is decoded from it, if it promises to come out."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from videossl.data import PyAVReader
from videossl.data.decode import av_file
from videossl.data.decode.recovery_point import recovers_exactly


def key_packets(path: Path) -> list[tuple[bytes, bytes | None]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.is_keyframe]
        return [(packet, stream.codec_context.extradata) for packet in packets]


def test_a_key_frame_in_mid_stream_promises_what_an_idr_picture_need_not(awkward_folder: Path) -> None:
    first, *others = key_packets(awkward_folder / "opengop.mp4")
    assert not recovers_exactly(*first)
    assert all(recovers_exactly(*packet) for packet in others)
    # Intra refresh: pictures are whole only some frames later.
    assert not any(recovers_exactly(*packet) for packet in key_packets(awkward_folder / "intra_refresh.mp4"))


def test_annex_b_has_the_same_messages(awkward_folder: Path) -> None:
    (packet, extradata), *_ = key_packets(awkward_folder / "opengop.mp4")[1:]
    assert extradata is not None
    units, at = [], 0
    while at < len(packet):
        length = int.from_bytes(packet[at : at + 4], "big")
        units.append(packet[at + 4 : at + 4 + length])
        at += 4 + length
    assert recovers_exactly(b"".join(b"\x00\x00\x01" + unit for unit in units), None)


def test_messages_that_are_cut_off_promise_nothing(awkward_folder: Path) -> None:
    packet, extradata = key_packets(awkward_folder / "opengop.mp4")[1]
    for end in range(0, 40):
        recovers_exactly(packet[:end], extradata)
    for data in (b"", b"\x00\x00\x01\x06", b"\x00\x00\x01\x06\xff\xff", b"\x00\x00\x01\x06\x06\x01", b"\x00\x00\x01"):
        assert not recovers_exactly(data, None)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_jump_costs_one_group_and_not_the_file_before_it(
    awkward_folder: Path, code_of: Callable, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    decoded = []
    plain = av_file.AVFile.frames_from

    def counting(*arguments: object, **options: object) -> object:
        for frame in plain(*arguments, **options):  # type: ignore[arg-type]
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(av_file.AVFile, "frames_from", counting)
    with PyAVReader(awkward_folder / "opengop.mp4") as reader:
        for frame in (70, 100, 119, 50):
            decoded.clear()
            assert code_of(reader.read([frame], size=None)[0]) == frame
            assert len(decoded) <= 24
        # Frames that are shown before a key frame and stored behind it need the group before.
        keys = reader.keyframes[1:]
        assert [code_of(picture) for picture in reader.read((keys - 1).tolist(), size=None)] == (keys - 1).tolist()
        assert np.array_equal(reader.read([47, 48, 49], size=32)[1], reader.read([48], size=32)[0])
