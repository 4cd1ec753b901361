"""What makes reading fast must not change what is read: frames left out, jumps, pictures resized while decoding."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import PictureType, VideoFrame

from videossl.data import PyAVReader, VideoError
from videossl.data.decode import av_file, pyav
from videossl.data.decode.picture import centre_square
from videossl.data.decode.rgb import RGBConverter
from videossl.data.decode.timeline import PacketFacts, lost_frames, nearest_frames

KINDS = {
    "B pyramid.mp4": ("libx264", {"bf": "5", "g": "20", "x264-params": "b-pyramid=normal:ref=4:scenecut=0"}),
    "open groups.mkv": ("libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1:scenecut=0"}),
    "intra refresh.mp4": ("libx264", {"bf": "2", "g": "20", "x264-params": "intra-refresh=1"}),
    "interlaced.mp4": ("libx264", {"bf": "3", "g": "20", "flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "mpeg4.mp4": ("mpeg4", {"bf": "2", "g": "15"}),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2", "g": "12"}),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=none:keyint=20:bframes=3:pools=1:frame-threads=1"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "20"}),
    "no key frames.avi": ("h263p", {"g": "20"}),
}


def moving(num_frames: int, width: int = 176, height: int = 144) -> list[VideoFrame]:
    """Noise that moves, so that every frame is predicted from others and looks like none of them."""
    noise = np.random.default_rng(0).integers(0, 256, (height + 2 * num_frames, width, 3), dtype=np.uint8)
    smooth = (noise // 2 + np.roll(noise // 2, 1, axis=1)).repeat(2, axis=1)[:, :width]
    return [
        VideoFrame.from_ndarray(np.ascontiguousarray(smooth[2 * n : 2 * n + height]), format="rgb24")
        for n in range(num_frames)
    ]


def write(path: Path, frames: list[VideoFrame], codec: str, options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, frames = tmp_path_factory.mktemp("kinds"), moving(50)
    return {name: write(folder / name, frames, *how) for name, how in KINDS.items() if how[0] in av.codecs_available}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_frames_are_the_same_pixel_by_pixel_whatever_else_is_left_out(
    kinds: dict[str, Path], name: str, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in kinds:
        pytest.skip("this build of FFmpeg cannot encode it")
    if not in_memory:
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    with PyAVReader(kinds[name]) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(pyav, "SKIPPING_CODECS", frozenset())
            whole = reader.read(range(reader.num_frames), size=None)
        rng = np.random.default_rng(1)
        for _ in range(8):
            frames = np.sort(rng.choice(len(whole), rng.integers(1, 8), replace=False))
            assert np.array_equal(reader.read(frames.tolist(), size=None), whole[frames])
        for step in (2, 5, 9):
            frames = np.arange(rng.integers(0, step), len(whole), step)
            assert np.array_equal(reader.read(frames.tolist(), size=None), whole[frames])


def test_frames_that_nobody_needs_are_not_decoded(kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    plain = av_file.AVFile.frames_from

    def counting(*arguments: object, **options: object) -> object:
        for frame in plain(*arguments, **options):  # type: ignore[arg-type]
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(av_file.AVFile, "frames_from", counting)
    with PyAVReader(kinds["B pyramid.mp4"]) as reader:
        reader.read([0, 18], size=32)
        assert len(decoded) < 12
        decoded.clear()
        reader.read([45], size=32)  # behind the key frame at 40
        assert len(decoded) <= 6


@pytest.mark.parametrize("size", [8, 31, 64, 96, 144, 200])
def test_pictures_resized_while_decoding_look_like_those_resized_afterwards(
    bikes: Path, awkward_folder: Path, size: int
) -> None:
    for path in (
        bikes,
        awkward_folder / "rotate90.mp4",
        awkward_folder / "bt709_full.mp4",
        awkward_folder / "gray.mp4",
    ):
        with PyAVReader(path) as reader:
            whole = reader.read([0, 20, 40], size=None)
            small = reader.read([0, 20, 40], size=size)
        assert small.shape == (3, size, size, 3)
        afterwards = np.stack([centre_square(picture, size) for picture in whole])
        difference = np.abs(small.astype(int) - afterwards).mean(axis=(1, 2, 3))
        # The awkward files are test patterns with hard edges of colour; 8 pixels are a reduction by 18 and 34.
        assert difference.max() < (2.5 if size == 8 else 1 if path == bikes else 1.25)
        if size > 8:  # no shift of colours: rounding that leans to one side would be learnt as a property of the reader
            assert np.abs((small.astype(int) - afterwards).mean(axis=(0, 1, 2))).max() < 0.3


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "gray", "rgb24"])
def test_every_pixel_format_is_resized_to_the_right_place_and_colour(pixel_format: str) -> None:
    rows, columns = np.mgrid[0:145, 0:201]
    picture = np.stack([rows + 50, columns + 20, 255 - rows // 2 - columns // 2], axis=-1).astype(np.uint8)
    if pixel_format == "gray":
        picture = np.repeat(picture[..., :1], 3, axis=-1)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format=pixel_format)
    made = RGBConverter(48).picture(frame)
    assert np.abs(made.astype(int) - centre_square(picture, 48)).mean(axis=(0, 1)).max() < 3


def test_the_pictures_of_a_read_lie_as_training_wants_them(bikes: Path) -> None:
    with PyAVReader(bikes) as reader:
        pictures = reader.read([3, 1, 3], size=16)
        assert np.moveaxis(pictures, -1, 1).flags.c_contiguous
        assert np.array_equal(pictures[0], pictures[2])
        assert reader.read([3, 1], size=None).flags.c_contiguous


def test_a_process_that_torch_gives_one_thread_decodes_with_one(
    tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    path = make_video(tmp_path / "large.mp4", side=640)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with PyAVReader(path) as reader:
            assert reader._file._live()[1].codec_context.thread_count == 1
    finally:
        torch.set_num_threads(before)


def test_avi_that_has_lost_frames_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.avi", moving(20), "mpeg4", {"bf": "0"})
    with PyAVReader(path) as reader:
        assert reader.num_frames == 20
    data = path.read_bytes()
    second = data.index(b"00dc", data.index(b"00dc", data.index(b"movi")) + 4)
    path.write_bytes(data[:second] + b"JUNK" + data[second + 4 : data.rindex(b"idx1")] + b"JUNK")
    with pytest.raises(VideoError, match="has lost 1 frames"):
        PyAVReader(path)


def test_lost_frames_are_counted_only_where_an_end_was_promised() -> None:
    packets = [PacketFacts(2 * number, None, number == 0, False, False) for number in range(10)]
    assert lost_frames(packets, None) == 0
    assert lost_frames(packets, 20) == 0
    assert lost_frames(packets, 26) == 3
    assert lost_frames(packets, 12) == 0


def test_the_frame_nearest_to_an_instant_is_found_by_its_time() -> None:
    shown = np.array([0.0, 0.1, 0.2, 1.2, 1.3])
    instants = [0.0, 0.04, 0.06, 0.15, 0.6, 0.8, 1.3, 1.39, 1.5, -0.05, -0.3, np.nan]
    assert nearest_frames(shown, instants).tolist() == [0, 0, 1, 1, 2, 3, 4, 4, -1, 0, -1, -1]
    assert nearest_frames(np.array([0.0]), [0.0, 5.0]).tolist() == [0, 0]
