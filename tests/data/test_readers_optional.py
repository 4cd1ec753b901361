"""The readers that are chosen by name: decord and torchcodec refuse what they read wrongly, and agree on the rest."""

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType, VideoFrame

from videossl.data.decode import DecordReader, PyAVReader, TorchCodecReader, VideoError, VideoReader
from videossl.data.decode.closed_groups import OpenGroupsError, frame_seconds
from videossl.data.media import Media
from videossl.errors import UsageError

WRONG_IN_DECORD = {
    "bframes.avi": "h264 in a container of type avi",
    "ts_offset.ts": "container of type mpegts",
    "size_change.ts": "container of type mpegts",
    "editlist.mp4": "an edit list that hides frames",
    "opengop.mp4": "key frames that decoding cannot start at",
    "intra_refresh.mp4": "key frames that decoding cannot start at",
    "truncated.mkv": "32 frames instead of 31",
}


def _why_not(reader_class: type[VideoReader], path: Path) -> str:
    try:
        with reader_class(path):
            return ""
    except UsageError as error:
        return str(error)


needs_decord = pytest.mark.skipif(
    bool(no_decord := _why_not(DecordReader, Path(__file__).parent / "real" / "bikes.mp4")), reason=no_decord
)
needs_torchcodec = pytest.mark.skipif(
    bool(no_torchcodec := _why_not(TorchCodecReader, Path(__file__).parent / "real" / "bikes.mp4")),
    reason=no_torchcodec,
)


def write(path: Path, codec: str, **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(40):
            frame = VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@needs_decord
@pytest.mark.parametrize("name", WRONG_IN_DECORD)
def test_decord_refuses_with_the_reason_what_it_reads_wrongly(awkward_folder: Path, name: str) -> None:
    with pytest.raises(VideoError, match=WRONG_IN_DECORD[name]) as caught:
        DecordReader(awkward_folder / name)
    assert str(caught.value).endswith("Use videossl.data.PyAVReader.")


@needs_decord
def test_decord_refuses_a_program_stream_by_what_it_is_and_not_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "stream.mpg", "mpeg2video", bf="2").rename(tmp_path / "stream.mp4")
    with pytest.raises(VideoError, match="mpeg2video in a container of type mpeg"):
        DecordReader(path)


@pytest.mark.parametrize(
    "reader_class",
    [pytest.param(DecordReader, marks=needs_decord), pytest.param(TorchCodecReader, marks=needs_torchcodec)],
)
def test_what_another_reader_takes_it_reads_as_pyav_does(
    awkward: dict[str, Any], awkward_folder: Path, reader_class: type[VideoReader]
) -> None:
    path = awkward_folder / awkward["file"]
    try:
        with reader_class(path) as other, PyAVReader(path) as reader:
            assert other.num_frames == reader.num_frames
            np.testing.assert_allclose(other.seconds, reader.seconds, atol=1e-5)
            frames = np.random.default_rng(0).integers(0, reader.num_frames, 20).tolist()
            for size in (None, 64):
                first, second = reader.read(frames, size=size), other.read(frames, size=size)
                assert first.shape == second.shape
                # Test patterns with hard edges; 10 bits are converted differently by other versions of FFmpeg.
                limit = 2.5 if "10bit" in awkward["file"] else 1 if size is None else 1.1
                assert np.abs(first.astype(int) - second).mean(axis=(1, 2, 3)).max() < limit
    except VideoError as error:
        refusal = str(error)
    else:
        return
    assert str(path) in refusal
    assert "\n" not in refusal


@needs_torchcodec
def test_torchcodec_refuses_with_the_reason_what_it_reads_wrongly(awkward_folder: Path) -> None:
    for name in ("intra_refresh.mp4", "editlist.mp4", "bframes.avi", "ts_offset.ts"):
        with pytest.raises(VideoError, match=r"Use videossl\.data\.PyAVReader"):
            TorchCodecReader(awkward_folder / name)


def test_torchcodec_that_does_not_import_is_a_usage_error_in_one_line(
    bikes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(UsageError, match=r"pip install torchcodec==0\.13") as caught:
        TorchCodecReader(bikes)
    assert "\n" not in str(caught.value)


def test_open_groups_are_told_from_closed_ones_by_the_packets(tmp_path: Path, bikes: Path) -> None:
    closed = write(tmp_path / "closed.mp4", "libx264", bf="3", g="12")
    seconds = frame_seconds(Media.of(closed))
    assert seconds is not None
    np.testing.assert_allclose(seconds, np.arange(40) / 25)
    assert frame_seconds(Media.of(bikes)) is not None
    leading = write(tmp_path / "open.mp4", "mpeg4", bf="2", g="12")
    with pytest.raises(OpenGroupsError, match="stored behind it"):
        frame_seconds(Media.of(leading))
    assert frame_seconds(Media.of(leading), allow_open=True) is not None
