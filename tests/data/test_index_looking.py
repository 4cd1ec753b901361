"""What is found in one video, fast or in full; and processes that survive what they look into."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from videossl.data import VideoIndex, looking
from videossl.data.looking import look
from videossl.data.media import Media

real_open_video = looking.open_video


def test_a_row_tells_times_key_frames_and_format(folder: Path) -> None:
    row = VideoIndex.build(folder, num_workers=0)[0]
    assert (row.codec, row.height, row.width, row.num_frames) == ("h264", 32, 32, 8)
    assert "mp4" in (row.container or "").split(",")
    assert (row.fps, row.duration_seconds) == (pytest.approx(10), pytest.approx(0.8))
    np.testing.assert_array_equal(row.keyframes, [0])
    status = (folder / "0.mp4").stat()
    assert row.fingerprint is not None
    assert (row.fingerprint.file_bytes, row.fingerprint.file_mtime_ns) == (status.st_size, status.st_mtime_ns)


def test_key_frames_are_numbered_as_frames_are(awkward_folder: Path) -> None:
    assert look(Media(str(awkward_folder / "h264_cfr.mp4")), "fast").keyframes.tolist() == [0, 12, 24, 36, 48]
    assert look(Media(str(awkward_folder / "editlist.mp4")), "fast").keyframes.tolist() == [0, 5]
    assert look(Media(str(awkward_folder / "bframes.avi")), "fast").keyframes.tolist() == []


def test_a_full_check_names_the_first_damaged_frame(awkward_folder: Path) -> None:
    damaged = Media(str(awkward_folder / "corrupt_middle.mp4"))
    assert look(damaged, "fast").error is None
    found = look(damaged, "full")
    assert found.error is not None
    assert found.error.startswith("damaged at or before frame 25: ")
    assert (len(found.seconds), found.codec) == (60, "h264")  # the row tells what it is nevertheless
    with real_open_video(damaged, looking.PyAVReader) as reader:
        assert reader.read([24], size=8).shape == (1, 8, 8, 3)  # the frame before is whole


@pytest.mark.parametrize("piece_frames", [1, 20, 1000])
def test_a_full_check_decodes_every_frame_once(
    awkward_folder: Path, monkeypatch: pytest.MonkeyPatch, piece_frames: int
) -> None:
    asked: list[int] = []

    class Recording(looking.PyAVReader):
        def read(self, frames, *, size):
            asked.extend(frames if size is not None else [])
            return super().read(frames, size=size)

    monkeypatch.setattr(looking, "PIECE_FRAMES", piece_frames)
    monkeypatch.setattr(looking, "PyAVReader", Recording)
    signs: list[int] = []
    found = look(Media(str(awkward_folder / "h264_cfr.mp4")), "full", alive=lambda: signs.append(len(asked)))
    assert found.error is None
    assert asked == list(range(60))
    assert signs == {1: [12, 24, 36, 48, 60], 20: [24, 48, 60], 1000: [60]}[piece_frames]


def test_a_damaged_video_is_in_no_split(awkward_folder: Path, tmp_path: Path, make_video: Callable[..., Path]) -> None:
    os.link(make_video(tmp_path / "good.mp4"), tmp_path / "other.mp4")
    (tmp_path / "damaged.mp4").write_bytes((awkward_folder / "corrupt_middle.mp4").read_bytes())
    index = VideoIndex.build(tmp_path, check="full")
    assert [(row.name, row.split is None, row.check) for row in index] == [
        ("damaged.mp4", True, "full"), ("good.mp4", False, "full"), ("other.mp4", False, "full"),
    ]  # fmt: skip
    assert index[0].num_frames == 60
    assert len(index.readable) == 2


def misbehave(monkeypatch: pytest.MonkeyPatch, name: str, what: Callable[[], None]) -> None:
    """Do something when a video of this name is opened; processes are forked, so it reaches them."""

    def opening(media, reader):
        if Path(media.path).name == name:
            what()
        return real_open_video(media, reader)

    monkeypatch.setattr(looking, "open_video", opening)


def rows_without(index: VideoIndex, name: str) -> list[tuple]:
    return [(row.name, row.num_frames, row.error) for row in index if row.name != name]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_decoder_that_crashes_costs_one_row(folder: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int) -> None:
    misbehave(monkeypatch, "2.mp4", lambda: os.kill(os.getpid(), signal.SIGSEGV))
    index = VideoIndex.build(folder, num_workers=num_workers)
    assert index[2].error == "the decoder crashed (SIGSEGV)."
    assert rows_without(index, "2.mp4") == [(f"{n}.mp4", 8, None) for n in (0, 1, 3, 4, 5)]


def test_a_decoder_that_hangs_costs_one_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    misbehave(monkeypatch, "0.mp4", lambda: time.sleep(60))
    index = VideoIndex.build(folder, num_workers=2, deadline_seconds=0.7)
    assert index[0].error == "gave no sign of life for 1 s: the decoder hangs, or its disk is very slow."
    assert rows_without(index, "0.mp4") == [(f"{n}.mp4", 8, None) for n in range(1, 6)]


def test_what_no_decoder_should_raise_is_a_cause_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise MemoryError("too much")

    misbehave(monkeypatch, "5.mp4", fail)
    assert VideoIndex.build(folder, num_workers=0)[5].error == "cannot be looked into: MemoryError: too much."


def test_processes_end_with_the_work(folder: Path) -> None:
    before, num_files = multiprocessing.active_children(), len(list(Path("/proc/self/fd").iterdir()))
    VideoIndex.build(folder, num_workers=3)
    assert multiprocessing.active_children() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == num_files


def test_a_fifo_is_a_row_with_a_cause(folder: Path) -> None:
    os.mkfifo(folder / "pipe.mp4")
    rows = {row.name: row.error for row in VideoIndex.build(folder, num_workers=1)}
    assert "fifo" in (rows["pipe.mp4"] or "")
    assert len(rows) == 7
