"""A store holds the frames that decoding would give, survives any kill, and is read like the videos it was made of."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from videossl.data import ClipPlanner, PyAVReader, VideoError, VideoIndex, VideoViews, find_videos
from videossl.data.decode.opening import open_video
from videossl.data.store import Stored, write_store
from videossl.data.stored import StoreReader, is_store, is_stored, read_journal, store_videos
from videossl.errors import UsageError

SIZE = 16


def store(videos: Path, out: Path, **settings: Any) -> Stored:
    return write_store(find_videos(videos), out, **({"reader": PyAVReader, "frame_size": SIZE} | settings))


@pytest.fixture
def classes(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    """Five videos in two class folders, one of them broken."""
    for number in range(4):
        make_video(tmp_path / "videos" / "ab"[number % 2] / f"{number}.mp4", num_frames=8 + number, base=number)
    (tmp_path / "videos" / "a" / "bad.mp4").write_text("no video")
    return tmp_path / "videos"


def test_a_store_gives_the_same_views_as_the_videos(classes: Path, tmp_path: Path) -> None:
    stored = store(classes, tmp_path / "store", num_workers=2)
    assert (stored.num_videos, stored.num_new, stored.num_frames) == (4, 4, 8 + 9 + 10 + 11)
    assert [failure.video for failure in stored.failures] == ["a/bad.mp4"]
    assert "is not a video" in (tmp_path / "store" / "unreadable.csv").read_text()
    for frame_size in (SIZE, 8):
        decoded, kept = (
            VideoViews(
                VideoIndex.build(folder, heldout_share=0.5, seed=0).split("train"),
                planner=ClipPlanner(num_frames=3),
                frame_size=frame_size,
            )
            for folder in (classes, tmp_path / "store")
        )
        assert len(decoded) == len(kept) == 2
        for one, other in zip(decoded, kept, strict=True):
            assert (one.clips.float() - other.clips.float()).abs().max() <= (0 if frame_size == SIZE else 2)
            np.testing.assert_array_equal(one.plan.seconds, other.plan.seconds)
        for one, other in zip(decoded.videos, kept.videos, strict=True):
            assert (one.name, one.label, one.label_id, one.num_frames) == (
                other.name, other.label, other.label_id, other.num_frames
            )  # fmt: skip


def test_frames_have_their_number_and_time_whatever_the_file(
    tmp_path: Path, awkward_folder: Path, code_of: Any
) -> None:
    names = ["vfr.mp4", "bframes.avi", "editlist.mp4", "rotate90.mp4"]
    (tmp_path / "list.txt").write_text("".join(f"{awkward_folder / name}\n" for name in names))
    store(tmp_path / "list.txt", tmp_path / "store", frame_size=40)
    for source, stored in zip(find_videos(tmp_path / "list.txt"), store_videos(tmp_path / "store"), strict=True):
        assert source.name == stored.name
        with open_video(source.media, PyAVReader) as decoded, open_video(stored.media, PyAVReader) as kept:
            assert isinstance(kept, StoreReader)
            np.testing.assert_array_equal(kept.seconds, decoded.seconds)
            chosen = [5, 0, 5, decoded.num_frames - 1]
            np.testing.assert_array_equal(kept.read(chosen, size=None), decoded.read(chosen, size=40))


def test_frames_are_thinned_out_to_a_rate_by_their_times(tmp_path: Path, awkward_folder: Path) -> None:
    store(awkward_folder / "vfr.mp4", tmp_path / "store", target_fps=5)
    (stored,) = store_videos(tmp_path / "store")
    with PyAVReader(awkward_folder / "vfr.mp4") as reader, StoreReader(stored.media) as kept:
        instants = np.arange(0, reader.seconds[-1] + 1e-6, 0.2)
        nearest = [np.abs(reader.seconds - instant).min() for instant in instants]
        got = [np.abs(kept.seconds - instant).min() for instant in instants]
        np.testing.assert_allclose(got, nearest, atol=1e-9)
        assert set(kept.seconds) <= set(reader.seconds)
        assert len(kept.seconds) <= len(instants)


def test_long_videos_are_written_piece_by_piece(
    tmp_path: Path, make_video: Callable[..., Path], monkeypatch: Any
) -> None:
    monkeypatch.setattr("videossl.data.store_writer.CHUNK_FRAMES", 3)
    make_video(tmp_path / "videos" / "a.mp4", num_frames=8)
    store(tmp_path / "videos", tmp_path / "store")
    (stored,) = store_videos(tmp_path / "store")
    with StoreReader(stored.media) as reader:
        levels = reader.read(range(8), size=None).mean(axis=(1, 2, 3))
    assert np.abs(levels - 20 * np.arange(8)).max() < 4


def test_only_new_and_changed_videos_are_read_again(
    classes: Path, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    out = tmp_path / "store"
    store(classes, out)
    before = {entry["name"]: entry["offset"] for entry in read_journal(out)}
    assert store(classes, out).num_new == 0
    make_video(classes / "a" / "0.mp4", num_frames=5, base=9)
    make_video(classes / "b" / "new.mp4")
    (classes / "a" / "bad.mp4").unlink()
    (classes / "a" / "2.mp4").unlink()
    again = store(classes, out)
    assert (again.num_videos, again.num_new, again.failures) == (4, 2, ())
    assert not (out / "unreadable.csv").exists()
    after = {entry["name"]: entry for entry in read_journal(out)}
    assert sorted(after) == ["a/0.mp4", "b/1.mp4", "b/3.mp4", "b/new.mp4"]
    assert after["a/0.mp4"]["num_frames"] == 5
    assert after["b/1.mp4"]["offset"] == before["b/1.mp4"]


def test_a_store_that_was_begun_otherwise_or_is_being_written_is_refused(classes: Path, tmp_path: Path) -> None:
    store(classes, tmp_path / "store")
    with pytest.raises(UsageError, match=r"was made with --frame_size 16, and now 32 is asked for.*--overwrite true"):
        store(classes, tmp_path / "store", frame_size=32)
    with pytest.raises(UsageError, match="--target_fps None, and now 4"):
        store(classes, tmp_path / "store", target_fps=4)
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store" / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        with pytest.raises(UsageError, match="another process writes"):
            store(classes, tmp_path / "store")
        other.communicate("\n")
    assert store(classes, tmp_path / "store").num_new == 0


def test_larger_frames_than_stored_are_refused_before_anything_is_read(classes: Path, tmp_path: Path) -> None:
    store(classes, tmp_path / "store")
    index = VideoIndex.build(tmp_path / "store", heldout_share=0)
    wanted = "holds frames of 16 pixels, and data.frame_size=17 is asked for"
    with pytest.raises(UsageError, match=wanted):
        VideoViews(index, planner=ClipPlanner(num_frames=2), frame_size=17)
    with StoreReader(index[0].media) as reader, pytest.raises(UsageError, match=wanted):
        reader.read([0], size=17)


def test_an_unfinished_or_foreign_store_is_refused(classes: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    assert not is_store(classes)
    store(classes, out)
    assert is_store(out)
    marker = json.loads((out / "store.json").read_text())
    for change, message in (
        ({"complete": False}, "is not finished. Run the same `videossl cache` again"),
        ({"version": 99}, "is a store of version 99"),
        ({"videos": []}, "holds no video"),
    ):
        (out / "store.json").write_text(json.dumps(marker | change))
        with pytest.raises(UsageError, match=message):
            find_videos(out)
    (out / "store.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        find_videos(out)


def test_a_store_that_was_cut_off_is_an_error_and_no_wrong_frame(classes: Path, tmp_path: Path) -> None:
    store(classes, tmp_path / "store")
    media = max((source.media for source in store_videos(tmp_path / "store")), key=lambda media: media.offset)
    assert is_stored(media)
    file = Path(media.path)
    content = file.read_bytes()
    with StoreReader(media) as reader:
        os.truncate(file, len(content) - 1)
        with pytest.raises(VideoError, match="is cut off"):
            reader.read([reader.num_frames - 1], size=None)
    for damaged in (content[:-1], content[: media.offset + 3], b"", b"x" * len(content)):
        file.write_bytes(damaged)
        with pytest.raises(VideoError, match="store"):
            StoreReader(media)
    file.unlink()
    with pytest.raises(VideoError, match="No such file"):
        StoreReader(media)


class BadDecoder(PyAVReader):
    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        if self.path.name == "0.mp4":
            ctypes.string_at(0)
        if self.path.name == "1.mp4":
            time.sleep(60)
        return super().read(frames, size=size)


def test_a_decoder_that_crashes_or_hangs_costs_its_video(classes: Path, tmp_path: Path) -> None:
    stored = store(classes, tmp_path / "store", reader=BadDecoder, deadline_seconds=0.5, num_workers=2)
    assert {failure.video: failure.cause for failure in stored.failures if "bad" not in failure.video} == {
        "a/0.mp4": "its decoder crashed (SIGSEGV).",
        "b/1.mp4": "its decoder hung.",
    }
    assert [source.name for source in store_videos(tmp_path / "store")] == ["a/2.mp4", "b/3.mp4"]


def test_killed_at_any_moment_it_goes_on_and_keeps_what_was_finished(
    tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    for number in range(12):
        make_video(tmp_path / "videos" / f"{number:02d}.mp4", base=number)
    out, code = tmp_path / "store", (
        "import sys, time; from pathlib import Path; import videossl.data.store as s\n"
        "from videossl.data import PyAVReader, find_videos\n"
        "write = s.Writer.__call__\n"
        "def slow(self, source): time.sleep(0.02); return write(self, source)\n"
        "s.Writer.__call__ = slow\n"
        "s.write_store(find_videos(Path(sys.argv[1])), Path(sys.argv[2]), reader=PyAVReader, frame_size=16)\n"
    )  # fmt: skip
    command = [sys.executable, "-c", code, str(tmp_path / "videos"), str(out)]
    finished = 0
    for kill_at in (2, 7):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(read_journal(out)) < kill_at:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(UsageError, match="not finished"):
            store_videos(out)
        assert len(read_journal(out)) >= max(finished, kill_at)
        finished = len(read_journal(out))
        with (out / "videos.jsonl").open("a") as journal:
            journal.write('{"name": "half a li')  # killed in the middle of a line
        with (out / "frames-00000.u8").open("ab") as frames:
            frames.write(b"half a video")
    done = store(tmp_path / "videos", out)
    assert (done.num_videos, done.num_new) == (12, 12 - finished)
    views = VideoViews(VideoIndex.build(out, heldout_share=0), planner=ClipPlanner(num_frames=4), frame_size=SIZE)
    clips = torch.stack([sample.clips for sample in views]).float().mean(dim=(1, 2, 3, 4, 5))
    assert (clips - (20 * 3.5 + torch.arange(12))).abs().max() < 4
