"""Pictures that are lost whole from a stream of H.264, which FFmpeg fills in with neighbours and says nothing."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videossl.data import PyAVReader, VideoError
from videossl.data.decode import av_file
from videossl.data.decode.frame_numbers import FrameNumbers

NUM_FRAMES = 60
ENCODERS = {
    "plain": {"bf": "0", "g": "20"},
    "B pyramid": {"bf": "3", "g": "20", "x264-params": "b-pyramid=normal"},
    "open groups": {"bf": "2", "g": "15", "x264-params": "open-gop=1:scenecut=0"},
    "one group, numbers start again": {"bf": "0", "g": "250"},
    "intra refresh": {"bf": "0", "g": "20", "x264-params": "intra-refresh=1"},
    "interlaced": {"bf": "2", "g": "20", "x264-params": "tff=1"},
    "scaling lists": {"bf": "1", "g": "20", "x264-params": "cqm=jvt"},
    "slices": {"bf": "1", "g": "20", "x264-params": "slices=3:aud=1"},
    "weighted": {"bf": "1", "g": "20", "x264-params": "weightp=2:ref=4"},
    "4:4:4": {"bf": "1", "g": "20", "pix_fmt": "yuv444p"},
}


def coded(number: int) -> np.ndarray:
    """(64, 160, 3) uint8: a bar code above a moving ramp."""
    rows, columns = np.mgrid[0:64, 0:160]
    picture = np.stack([columns + 5 * number, 3 * rows, rows + number], axis=-1).astype(np.uint8)
    for bit in range(10):
        picture[:16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    return picture


def write(path: Path, options: dict[str, str], lost: tuple[int, ...] = ()) -> Path:
    """A transport stream without the packets with these numbers; it is as whole as any, but for them."""
    settings = dict(options)
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 64, settings.pop("pix_fmt", "yuv420p")
        stream.options = settings
        stream.codec_context.thread_count = 1
        packets = []
        for number in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(coded(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for number, packet in enumerate(packets):
            if number not in lost:
                container.mux(packet)
    return path


@pytest.mark.parametrize("name", ENCODERS)
def test_nothing_is_missed_in_streams_that_are_whole(tmp_path: Path, code_of: Callable, name: str) -> None:
    with PyAVReader(write(tmp_path / "whole.ts", ENCODERS[name])) as reader:
        pictures = reader.read(range(reader.num_frames), size=None)
        assert [code_of(picture) for picture in pictures] == list(range(NUM_FRAMES))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("lost", [3, 27, 38])
@pytest.mark.parametrize("name", ["plain", "B pyramid", "scaling lists", "4:4:4"])
def test_frames_behind_a_lost_picture_are_errors_up_to_the_next_key_frame(
    tmp_path: Path, code_of: Callable, monkeypatch: pytest.MonkeyPatch, name: str, lost: int, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    path = write(tmp_path / "lossy.ts", ENCODERS[name], lost=(lost,))
    num_errors = 0
    with PyAVReader(path) as reader:
        assert reader.num_frames == NUM_FRAMES - 1
        for frame, instant in enumerate(np.round(25 * reader.seconds).astype(int).tolist()):
            try:
                assert code_of(reader.read([frame], size=None)[0]) == instant
            except VideoError:
                num_errors += 1
                assert lost - 4 <= instant < 20 * (lost // 20 + 1)
    if name == "plain":  # every picture is predicted from the one before
        assert num_errors == 19 - lost % 20


def test_a_stream_that_nothing_is_known_of_has_no_gaps() -> None:
    numbers = FrameNumbers(None)
    assert not numbers.is_gap(b"")
    assert not numbers.is_gap(b"\x00\x00\x01\x65\x88\x84")  # a slice without its sets
    assert not numbers.is_gap(b"\x00\x00\x01\x67\x64")  # a set that is cut off
    for seed in range(200):
        data = np.random.default_rng(seed).integers(0, 256, 40, dtype=np.uint8).tobytes()
        numbers.is_gap(b"\x00\x00\x01\x67" + data + b"\x00\x00\x01\x68" + data + b"\x00\x00\x01\x41" + data)
