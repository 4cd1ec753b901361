"""Frames by number: every awkward file as its manifest says, and the two decoders against each other."""

import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videossl.data import DecordReader, PyAVReader, VideoError
from videossl.data.decode import av_file
from videossl.data.decode.picture import centre_square

Code = Callable[[np.ndarray], int]


def unturned(pictures: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    return np.rot90(pictures, -1, axes=(1, 2)) if entry.get("rotation") else pictures


@pytest.fixture(params=["in memory", "seeking"])
def access(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are kept in memory and large ones are seeked in: here all files both ways."""
    if request.param == "seeking":
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)


@pytest.mark.usefixtures("access")
def test_pyav_gives_what_the_manifest_promises(awkward: dict[str, Any], awkward_folder: Path, code_of: Code) -> None:
    path = awkward_folder / awkward["file"]
    if awkward.get("error") or awkward.get("damaged"):
        with pytest.raises(VideoError) as caught, PyAVReader(path) as reader:
            reader.read(range(reader.num_frames), size=None)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    with PyAVReader(path) as reader:
        seconds = reader.seconds
        pictures = reader.read(range(reader.num_frames), size=None)
        order = np.random.default_rng(0).integers(0, reader.num_frames, 12)
        one_by_one = np.concatenate([reader.read([number], size=None) for number in order.tolist()])
        shuffled = reader.read(order.tolist(), size=None)
    assert seconds[0] == 0
    assert (np.diff(seconds) > 0).all()
    assert len(pictures) == len(seconds)
    assert np.array_equal(one_by_one, pictures[order])
    assert np.array_equal(shuffled, pictures[order])
    codes = [code_of(picture) for picture in unturned(pictures, awkward)]
    if awkward["codes"]:
        first, last = awkward["codes"]
        assert codes == list(range(first, last + 1))
    if awkward.get("prefix"):
        assert codes == list(range(len(codes)))
        assert len(codes) >= 25


def test_damaged_data_is_an_error_only_where_it_is_read(awkward_folder: Path, code_of: Code) -> None:
    with PyAVReader(awkward_folder / "corrupt_middle.mp4") as reader:
        assert [code_of(picture) for picture in reader.read(range(20), size=None)] == list(range(20))
        with pytest.raises(VideoError, match="damaged at or before frame"):
            reader.read([40], size=None)


def test_times_are_presentation_times_where_the_frame_rate_varies(awkward_folder: Path) -> None:
    numbers = np.arange(60)
    wanted = 0.04 * numbers + 0.04 * (numbers // 3) + 2 * (numbers >= 30)
    for name in ("vfr.mp4", "vfr.mkv"):
        with PyAVReader(awkward_folder / name) as reader:
            np.testing.assert_allclose(reader.seconds, wanted, atol=1e-9)


def test_pictures_are_turned_as_the_file_says(awkward_folder: Path) -> None:
    path = awkward_folder / "rotate90.mp4"
    with PyAVReader(path) as one, DecordReader(path) as other:
        pictures = one.read([3], size=None)
        assert pictures.shape == (1, 192, 144, 3)
        assert np.array_equal(pictures, other.read([3], size=None))


def test_colours_of_full_range_bt709_are_right(awkward_folder: Path) -> None:
    with PyAVReader(awkward_folder / "bt709_full.mp4") as reader:
        picture = reader.read([20], size=None)[0].astype(int)
    rows, columns = np.mgrid[0:144, 0:192]
    wanted = np.stack([(columns + 60) % 256, (2 * rows + 20) % 256, ((rows + columns) // 2 + 100) % 256], axis=-1)
    plain = np.s_[20:50]  # rows without bar code or square
    assert np.abs(picture - wanted)[plain].mean(axis=(0, 1)).max() < 4


@pytest.mark.parametrize("size", [None, 64])
def test_pyav_and_decord_agree_on_real_files(bikes: Path, carphone: Path, size: int | None) -> None:
    for path in (bikes, carphone):
        with PyAVReader(path) as one, DecordReader(path) as other:
            assert one.num_frames == other.num_frames
            np.testing.assert_allclose(one.seconds, other.seconds, atol=1e-5)
            frames = np.random.default_rng(1).integers(0, one.num_frames, 24).tolist()
            first, second = one.read(frames, size=size), other.read(frames, size=size)
        assert first.shape == second.shape
        assert np.abs(first.astype(int) - second).mean(axis=(1, 2, 3)).max() < 1


def test_frames_of_a_real_file_are_the_same_whatever_else_is_asked_for(
    bikes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PyAVReader(bikes) as reader:
        everything = reader.read(range(reader.num_frames), size=48)
    monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    with PyAVReader(bikes) as reader:
        for frames in ([249], [100, 7, 100], [0, 248, 120], list(range(60, 68))):
            assert np.array_equal(reader.read(frames, size=48), everything[frames])


@pytest.mark.parametrize("reader_class", [PyAVReader, DecordReader])
def test_a_frame_that_is_not_there_is_refused(carphone: Path, reader_class: type[PyAVReader]) -> None:
    with reader_class(carphone) as reader:
        for frames in ([120], [-1]):
            with pytest.raises(VideoError, match="120 frames are numbered from 0"):
                reader.read(frames, size=None)
        with pytest.raises(VideoError, match="at least one frame"):
            reader.read([], size=None)


def test_decord_refuses_files_whose_times_it_reads_wrongly(awkward_folder: Path) -> None:
    for name in ("editlist.mp4", "bframes.avi", "size_change.ts"):
        with pytest.raises(VideoError, match=r"Use videossl\.data\.PyAVReader"):
            DecordReader(awkward_folder / name)
    with pytest.raises(VideoError) as caught:
        DecordReader(awkward_folder / "text.mp4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader_class", [PyAVReader, DecordReader])
def test_a_missing_file_or_a_folder_is_no_video(tmp_path: Path, reader_class: type[PyAVReader]) -> None:
    for path in (tmp_path, tmp_path / "nothing.mp4"):
        with pytest.raises(VideoError):
            reader_class(path)


def test_a_playlist_that_calls_itself_a_video_is_not_followed(tmp_path: Path) -> None:
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError):
        PyAVReader(playlist)


def test_a_reader_can_be_closed_twice_and_says_so_when_read_after() -> None:
    reader = PyAVReader(Path(__file__).parent / "awkward" / "two_frames.mp4")
    reader.close()
    reader.close()
    with pytest.raises(VideoError):
        reader.read([0], size=None)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_file_stays_open_whether_reading_works_or_fails(awkward_folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("h264_cfr.mp4", "corrupt_middle.mp4", "audio_only.mp4", "lying_stsz.mp4", "text.mp4"):
        with suppress(VideoError), PyAVReader(awkward_folder / name) as reader:
            reader.read(range(reader.num_frames), size=32)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.parametrize("reader_class", [PyAVReader, DecordReader])
def test_a_forked_child_does_not_wait_for_the_decoder_threads_of_a_closed_reader(
    tmp_path: Path, make_video: Callable[..., Path], reader_class: type[PyAVReader]
) -> None:
    path = make_video(tmp_path / "large.mp4", side=640)  # large enough for several threads
    readers = [reader_class(path)]
    readers[0].read([3], size=None)
    readers[0].close()

    def child() -> None:
        readers.clear()
        with reader_class(path) as reader:
            reader.read([3], size=None)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    ended = process.exitcode
    process.kill()
    assert ended == 0


def test_an_error_comes_out_of_a_worker_process_whole() -> None:
    error = pickle.loads(pickle.dumps(VideoError(Path("a b.mp4"), "is\nempty")))
    assert (error.path, error.cause, str(error)) == (Path("a b.mp4"), "is empty", "a b.mp4: is empty")


def test_the_centre_square_keeps_pixels_where_nothing_is_to_be_resized() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    assert np.array_equal(centre_square(picture, 6), picture[:, 2:8])
    assert centre_square(picture, 4).shape == (4, 4, 3)
    assert (centre_square(np.full((9, 7, 3), 77, np.uint8), 5) == 77).all()


def test_importing_the_data_road_imports_no_decoder() -> None:
    code = "import videossl.data, sys; print(*{'av', 'decord', 'lightning', 'matplotlib'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == []
