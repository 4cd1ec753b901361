import ctypes
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from videossl.data import ClipPlanner, Media, PyAVReader, VideoError, VideoIndex
from videossl.data.isolated_reader import Readers
from videossl.evaluation import read_held_out


class BadDecoder(PyAVReader):
    """Crashes on crash.mp4 and hangs on hang.mp4; says in the first pixel which process it is in."""

    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        if self.path.name == "crash.mp4" and max(frames) > 4:
            ctypes.string_at(0)
        if self.path.name == "hang.mp4":
            time.sleep(60)
        return super().read(frames, size=size)


class Where(PyAVReader):
    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        return np.full((1, 1, 1, 3), os.getpid(), dtype=np.int64)


@pytest.fixture
def folder(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    folder = tmp_path / "videos"
    for number, name in enumerate(["crash", "hang", *"abcdefgh"]):
        make_video(folder / f"{name}.mp4", num_frames=12, base=number)
    return folder


def test_frames_and_times_are_those_of_the_reader_itself(folder: Path) -> None:
    with Readers(PyAVReader) as readers:
        for name in "ab":
            path = folder / f"{name}.mp4"
            with readers.open(Media.of(path)) as there, PyAVReader(path) as here:
                np.testing.assert_array_equal(there.seconds, here.seconds)
                for frames in ([3, 1, 1], [11]):
                    np.testing.assert_array_equal(there.read(frames, size=16), here.read(frames, size=16))


@pytest.mark.parametrize("isolate", [True, False])
def test_decoding_happens_beside_or_here(folder: Path, isolate: bool) -> None:
    with Readers(Where, isolate=isolate) as readers, readers.open(Media.of(folder / "a.mp4")) as opened:
        assert (opened.read([0], size=8)[0, 0, 0, 0] == os.getpid()) is not isolate


def test_a_crash_costs_one_video_from_there_on(folder: Path) -> None:
    with Readers(BadDecoder, deadline_seconds=5) as readers:
        bad = readers.open(Media.of(folder / "crash.mp4"))
        assert bad.read([1], size=8).shape == (1, 8, 8, 3)
        for _ in range(2):  # and is not tried again
            with pytest.raises(VideoError, match=r"crash.mp4: its decoder crashed \(SIGSEGV\)"):
                bad.read([7], size=8)
        with readers.open(Media.of(folder / "a.mp4")) as good:
            assert good.read([7], size=8).shape == (1, 8, 8, 3)


def test_a_hang_is_waited_for_once(folder: Path) -> None:
    began = time.monotonic()
    with Readers(BadDecoder, deadline_seconds=0.5) as readers:
        bad = readers.open(Media.of(folder / "hang.mp4"))
        for _ in range(5):
            with pytest.raises(VideoError, match="its decoder hung: no frames within"):
                bad.read([7], size=8)
    assert time.monotonic() - began < 3


def test_what_is_no_video_is_an_error_of_its_own(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with Readers(PyAVReader) as readers:
        with pytest.raises(VideoError, match="is not a video"):
            readers.open(Media.of(tmp_path / "text.mp4"))
        assert readers.open(Media.of(folder / "a.mp4")).num_frames == 12


def test_an_evaluation_goes_on_without_videos_that_crash_or_hang_the_decoder(folder: Path) -> None:
    index = VideoIndex.build(folder, heldout_share=1.0)
    held_out = read_held_out(
        index, ClipPlanner(num_views=2, num_frames=3), BadDecoder, frame_size=16, deadline_seconds=0.5
    )
    assert {failure.video: failure.cause.split(":")[0] for failure in held_out.failures} == {
        "crash.mp4": "its decoder crashed (SIGSEGV).",
        "hang.mp4": "its decoder hung",
    }
    assert set(held_out.names) == {f"{name}.mp4" for name in "abcdefgh"}
