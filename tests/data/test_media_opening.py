"""Videos that are not whole files: stretches, members of archives, folders of pictures; and bombs."""

import io
import os
import resource
import struct
import zlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from coded_videos import codes_of, picture, write_coded
from PIL import Image

from videossl.data import DecordReader, PyAVReader, VideoError, VideoReader
from videossl.data.decode import av_file, limits
from videossl.data.decode.frames_folder import FramesFolderReader
from videossl.data.decode.opening import open_video
from videossl.data.decode.stretch import StretchReader
from videossl.data.media import Media


def codes_in(media: Media, reader: type[VideoReader] = PyAVReader) -> list[int]:
    with open_video(media, reader) as opened:
        assert opened.seconds[0] == 0
        assert opened.media == media
        return codes_of(opened.read(range(opened.num_frames), size=None))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coded(tmp_path_factory.mktemp("film") / "film.mp4", range(100, 140))


@pytest.mark.parametrize("rate", [10, 30])
@pytest.mark.parametrize("reader", [PyAVReader, DecordReader])
def test_stretches_that_follow_each_other_have_every_frame_once(
    tmp_path: Path, rate: int, reader: type[VideoReader]
) -> None:
    path = write_coded(tmp_path / "a.mp4", range(50), rate=rate, b_frames=0)
    edges = [0, 1, 7, 23, 24, 50]
    for rounded in (9, 3):  # times to a nanosecond, and to a millisecond
        seconds = [round(edge / rate, rounded) for edge in edges]
        found = [
            codes_in(Media(str(path), start_seconds=start, end_seconds=end), reader) for start, end in pairwise(seconds)
        ]
        assert found == [list(range(start, end)) for start, end in pairwise(edges)]


def test_a_stretch_begins_at_its_first_frame_and_ends_before_its_end(film: Path) -> None:
    def codes(start: float | None, end: float | None) -> list[int]:
        return codes_in(Media(str(film), start_seconds=start, end_seconds=end))

    assert codes(1.0, 1.3) == [110, 111, 112]
    assert codes(0.96, 1.24) == [110, 111]  # less than half a frame from the frames at 1.0 and 1.2
    assert codes(1.04, 1.26) == [110, 111, 112]
    assert codes(1.06, 1.3) == [111, 112]
    assert codes(None, 0.2) == [100, 101]
    assert codes(3.8, None) == [138, 139]
    assert codes(3.8, 99.0) == [138, 139]
    with pytest.raises(VideoError, match=r"from 9 s to 10 s: has no frame there: the whole video has 40"):
        codes(9.0, 10.0)


def test_frames_of_a_stretch_are_numbered_and_timed_from_its_start(film: Path) -> None:
    with open_video(Media(str(film), start_seconds=1.2, end_seconds=2.0), PyAVReader) as reader:
        assert isinstance(reader, StretchReader)
        np.testing.assert_allclose(reader.seconds, np.arange(8) / 10)
        assert codes_of(reader.read([7, 0, 3, 0], size=None)) == [119, 112, 115, 112]
        with pytest.raises(VideoError, match="has no frame 8: its 8 frames"):
            reader.read([8], size=None)
    with pytest.raises(VideoError, match="closed"):
        reader.read([0], size=None)


@pytest.mark.parametrize("small", [True, False])
def test_a_piece_of_a_larger_file_is_a_video(
    film: Path, tmp_path: Path, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    other = write_coded(tmp_path / "other.mp4", range(500, 520)).read_bytes()
    spare = film.stat().st_size - len(other)  # two pieces of the same length: only their places tell them apart
    other += struct.pack(">I4s", spare, b"free") + bytes(spare - 8)
    archive = tmp_path / "odd, name:,end,1,,.bin"
    archive.write_bytes(b"x" * 700 + film.read_bytes() + other + b"y" * 5000)
    first = Media(str(archive), 700, film.stat().st_size)
    second = Media(str(archive), 700 + film.stat().st_size, len(other))
    assert codes_in(first) == list(range(100, 140))
    assert codes_in(second) == list(range(500, 520))  # with the same file and time: not mistaken for the first
    with open_video(first, PyAVReader) as reader:
        assert codes_of(reader.read([31, 5], size=None)) == [131, 105]
    stretch = Media(second.path, second.offset, second.num_bytes, 0.5, 0.8)
    assert codes_in(stretch) == [505, 506, 507]
    with pytest.raises(VideoError, match="at byte 700: decord reads whole files"):
        open_video(first, DecordReader)
    with pytest.raises(VideoError, match="behind the end of its archive"):
        open_video(Media(str(archive), 700, 10**9), PyAVReader)
    with pytest.raises(VideoError, match="is empty"):
        open_video(Media(str(archive), 700, 0), PyAVReader)
    with pytest.raises(VideoError, match="at byte 0: is not a video"):
        open_video(Media(str(archive), 0, 700), PyAVReader)


def test_an_address_that_cannot_be_is_refused() -> None:
    for wrong in ({"offset": 5}, {"offset": -1, "num_bytes": 3}, {"start_seconds": 2.0, "end_seconds": 2.0}):
        with pytest.raises(ValueError, match="expected"):
            Media("a.mp4", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frames_per_second"):
        Media("a", frames_per_second=0)


def write_frames(folder: Path, names: list[str], **saving: object) -> Media:
    folder.mkdir(parents=True, exist_ok=True)
    for code, name in enumerate(names):
        Image.fromarray(picture(code)).save(folder / name, **saving)
    return Media(str(folder), frames_per_second=8)


def test_pictures_of_a_folder_are_frames_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    media = write_frames(tmp_path / "v", [f"img_{number}.png" for number in range(12)])
    (tmp_path / "v" / "notes.txt").touch()
    (tmp_path / "v" / ".img_3.png").touch()
    assert codes_in(media, DecordReader) == list(range(12))
    with open_video(media, PyAVReader) as reader:
        assert isinstance(reader, FramesFolderReader)
        np.testing.assert_allclose(reader.seconds, np.arange(12) / 8)
        assert np.array_equal(reader.read([11, 2], size=None), np.stack([picture(11), picture(2)]))
        assert reader.read([1, 2, 1], size=8).shape == (3, 8, 8, 3)
    with pytest.raises(VideoError, match="closed"):
        reader.read([0], size=None)
    assert codes_in(Media(media.path, start_seconds=0.25, end_seconds=0.5, frames_per_second=8)) == [2, 3]
    with open_video(Media(media.path), PyAVReader) as reader:
        assert reader.seconds[1] == 1 / 25


def test_pictures_are_turned_and_made_rgb_as_files_say(tmp_path: Path) -> None:
    turned = Image.fromarray(picture(5))
    exif = turned.getexif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    (tmp_path / "v").mkdir()
    turned.save(tmp_path / "v" / "0.png", exif=exif)
    Image.fromarray(np.rot90(picture(6), -1).copy()).convert("RGBA").save(tmp_path / "v" / "1.png")
    with open_video(Media(str(tmp_path / "v")), PyAVReader) as reader:
        assert codes_of(np.rot90(reader.read([0, 1], size=None), 1, axes=(1, 2))) == [5, 6]


def test_pictures_that_cannot_be_read_say_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(media: Media) -> str:
        with pytest.raises(VideoError) as caught, open_video(media, PyAVReader) as reader:
            reader.read(range(reader.num_frames), size=None)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (tmp_path / "empty").mkdir()
    assert "has no pictures" in said(Media(str(tmp_path / "empty")))
    media = write_frames(tmp_path / "v", ["0.png", "1.png"])
    Image.fromarray(picture(0)[:8]).save(tmp_path / "v" / "2.png")
    assert "its pictures change size: 160x16 and 160x8" in said(media) or "160x8 and 160x16" in said(media)
    (tmp_path / "v" / "2.png").write_bytes((tmp_path / "v" / "1.png").read_bytes()[:60])
    assert "its picture 2.png is damaged" in said(media)
    (tmp_path / "v" / "2.png").write_text("no picture")
    assert "its picture 2.png is damaged" in said(media)
    Image.fromarray(np.full((16, 160), 999, np.uint16)).save(tmp_path / "v" / "2.png")
    assert "has more than 8 bits" in said(media)
    (tmp_path / "v" / "2.png").unlink()
    os.mkfifo(tmp_path / "v" / "2.png")
    assert "its picture 2.png is a fifo" in said(media)
    (tmp_path / "v" / "2.png").unlink()
    (tmp_path / "v" / "2.png").write_bytes(png(30000, 30000))
    assert "30000 x 30000" in said(media) or "more than 64 million" in said(media)
    (tmp_path / "v" / "2.png").write_bytes(png(9000, 9000))
    assert "declares pictures of 9000 x 9000 pixels; at most 64 million" in said(media)


def png(width: int, height: int) -> bytes:
    """A small file that declares a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_bomb(path: Path, side: int, *, is_said: bool) -> Path:
    """A small video of far too large pictures; its header says so, or says 16 x 16."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
        for number in range(3):
            packet = av.Packet(png(side, side))
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)
    if is_said:
        content = bytearray(path.read_bytes())
        at = content.index(b"strf") + 12
        assert struct.unpack("<II", content[at : at + 8]) == (16, 16)
        content[at : at + 8] = struct.pack("<II", side, side)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("side", [30000, 16000, 9000])
def test_a_video_of_huge_pictures_is_refused_before_one_of_them_is_decoded(tmp_path: Path, side: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = write_bomb(tmp_path / "said.avi", side, is_said=True)
    for _ in range(2):
        with pytest.raises(VideoError, match=f"declares pictures of {side} x {side} pixels; at most 64 million are"):
            PyAVReader(said)
    with pytest.raises(VideoError), PyAVReader(write_bomb(tmp_path / "a.mov", side, is_said=False)) as reader:
        reader.read([0], size=16)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the smallest has 237,000
    assert av.logging.get_level() is None


def test_pictures_that_become_huge_in_mid_stream_are_refused_too(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(small, "png")
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
        for number in range(9):
            packet = av.Packet(small.getvalue() if number < 8 else png(9000, 9000))
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with PyAVReader(tmp_path / "a.mov") as reader:
        assert reader.read(range(8), size=16).shape == (8, 16, 16, 3)
        with pytest.raises(VideoError, match="frame 8"):
            reader.read([8], size=16)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_pictures_count_and_not_what_a_header_says_of_them(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(film.read_bytes())
    at = content.index(b"avc1", content.index(b"stsd")) + 28
    assert struct.unpack(">HH", content[at : at + 4]) == (160, 16)
    content[at : at + 4] = struct.pack(">HH", 30000, 30000)
    (tmp_path / "lie.mp4").write_bytes(content)
    assert codes_in(Media(str(tmp_path / "lie.mp4"))) == list(range(100, 140))
    monkeypatch.setattr(limits, "MOST_PIXELS", 1000)
    with pytest.raises(VideoError, match="declares pictures of 160 x 16"):
        PyAVReader(film)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_file_stays_open(film: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"x" * 512 + film.read_bytes())
    piece = Media(str(archive), 512, film.stat().st_size)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for media in (piece, Media(piece.path, 512, piece.num_bytes, 1.0, 2.0), Media(piece.path, 0, 512)):
        for _ in range(3):
            try:
                codes_in(media)
            except VideoError:
                continue
    with pytest.raises(VideoError):
        open_video(Media(str(film), start_seconds=50.0), PyAVReader)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
