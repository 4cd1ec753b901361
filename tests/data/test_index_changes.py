"""An index that is built again looks into new and changed files only, and loses nothing when it is interrupted."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from videossl.data import VideoIndex, indexing
from videossl.data.index_changes import Changes
from videossl.data.index_table import FIRST_SCHEMA
from videossl.data.looking import look
from videossl.errors import UsageError, WorkError


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were looked into since it was cleared, in this process."""
    seen: list[str] = []

    def looking(tasks, *, check, num_workers, deadline_seconds):
        for number, task in enumerate(tasks):
            seen.append(Path(task.media.path).name)
            yield number, look(task.media, check)

    monkeypatch.setattr(indexing, "look_at_all", looking)
    return seen


def facts(index: VideoIndex) -> list[tuple]:
    return [(row.name, row.num_frames, row.seconds.tolist(), row.keyframes.tolist(), row.split) for row in index]


@pytest.fixture
def saved(folder: Path, tmp_path: Path, looked_into: list[str]) -> Path:
    VideoIndex.build(folder, heldout_share=0.5).save(tmp_path / "index.parquet")
    looked_into.clear()
    return tmp_path / "index.parquet"


def test_only_new_and_changed_files_are_looked_into(
    folder: Path, saved: Path, looked_into: list[str], make_video: Callable[..., Path]
) -> None:
    before = VideoIndex.load(saved)
    make_video(folder / "6.mp4", num_frames=3)
    make_video(folder / "2.mp4", num_frames=5)
    (folder / "4.mp4").unlink()
    index = VideoIndex.build(folder, heldout_share=0.5, known=saved)
    assert looked_into == ["2.mp4", "6.mp4"]
    assert index.changes == Changes(new=1, changed=1, vanished=1, unchanged=4, resplit=index.changes.resplit)
    assert str(index.changes).startswith("index: 1 new, 1 changed, 1 vanished, 4 unchanged, 0 unreadable")
    rows = {row.name: row for row in index}
    assert {name: row.num_frames for name, row in rows.items()} == {
        "0.mp4": 8, "1.mp4": 8, "2.mp4": 5, "3.mp4": 8, "5.mp4": 8, "6.mp4": 3,
    }  # fmt: skip
    assert [row.video for row in index] == list(range(6))
    assert rows["0.mp4"].fingerprint == before[0].fingerprint is not None


def test_a_file_of_the_same_size_with_another_time_has_changed(
    folder: Path, saved: Path, looked_into: list[str]
) -> None:
    status = (folder / "3.mp4").stat()
    os.utime(folder / "3.mp4", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert VideoIndex.build(folder, known=saved).changes.changed == 1
    assert looked_into == ["3.mp4"]


def test_building_again_or_anew_gives_the_same_index(folder: Path, saved: Path, looked_into: list[str]) -> None:
    again = VideoIndex.build(folder, heldout_share=0.5, known=saved)
    assert looked_into == []
    assert again.changes.is_none
    assert facts(again) == facts(VideoIndex.build(folder, heldout_share=0.5))


def test_labels_and_split_are_made_anew(folder: Path, saved: Path, looked_into: list[str], tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"videos/{n}.mp4 {'ab'[n % 2]}\n" for n in range(6)))
    index = VideoIndex.build(listed, heldout_share=0.5, seed=5, known=saved)
    assert looked_into == []
    assert [(row.label, row.label_id) for row in index] == [("a", 0), ("b", 1)] * 3
    fresh = VideoIndex.build(listed, heldout_share=0.5, seed=5)
    assert [row.split for row in index] == [row.split for row in fresh]


def test_another_split_than_before_is_counted(folder: Path, saved: Path) -> None:
    before = VideoIndex.load(saved)
    after = VideoIndex.build(folder, heldout_share=0.0, known=saved)
    assert after.changes.resplit == len(before.split("heldout")) == 3
    assert str(after.changes).endswith("3 in another split than before")


def test_unreadable_videos_are_looked_into_again(folder: Path, tmp_path: Path, looked_into: list[str]) -> None:
    (folder / "bad.mp4").write_text("no video")
    VideoIndex.build(folder).save(tmp_path / "index.parquet")
    looked_into.clear()
    index = VideoIndex.build(folder, known=tmp_path / "index.parquet")
    assert looked_into == ["bad.mp4"]
    assert index.changes == Changes(again=1, unchanged=6, unreadable=1)


def test_a_full_check_is_not_satisfied_by_a_fast_one(folder: Path, saved: Path, looked_into: list[str]) -> None:
    full = VideoIndex.build(folder, known=saved, check="full")
    assert len(looked_into) == full.changes.again == 6
    full.save(saved)
    looked_into.clear()
    assert {row.check for row in VideoIndex.build(folder, known=saved, check="fast")} == {"full"}
    assert looked_into == []


def test_an_index_stands_for_its_videos(folder: Path, saved: Path, looked_into: list[str], tmp_path: Path) -> None:
    (folder / "1.mp4").unlink()
    (folder / "not_in_the_index.mp4").write_text("")
    index = VideoIndex.build(saved, heldout_share=0.5)
    assert looked_into == ["1.mp4"]
    assert [row.name for row in index] == [f"{n}.mp4" for n in range(6)]
    assert index[1].error == "cannot be opened: No such file or directory."
    assert index.changes.again == index.changes.unreadable == 1
    index.save(tmp_path / "other.parquet")
    assert facts(VideoIndex.load(tmp_path / "other.parquet")) == facts(index)


def test_an_index_of_the_first_version_is_loaded_and_used(
    folder: Path, saved: Path, looked_into: list[str], tmp_path: Path
) -> None:
    old = tmp_path / "old.parquet"
    pq.write_table(pq.read_table(saved, columns=FIRST_SCHEMA.names), old)
    rows = VideoIndex.load(old)
    for row, known in zip(rows, VideoIndex.load(saved), strict=True):
        assert (row.name, row.media, row.split, row.num_frames) == (known.name, known.media, known.split, 8)
        np.testing.assert_array_equal(row.seconds, known.seconds)
        assert (row.fingerprint, row.codec, row.weight, row.duration_seconds) == (None, None, 1.0, pytest.approx(0.8))
    assert VideoIndex.build(old, heldout_share=0.5).changes == Changes(again=6)
    assert len(looked_into) == 6


def test_another_table_is_no_index(tmp_path: Path, saved: Path) -> None:
    table = pq.read_table(saved, columns=["name", "path"])
    pq.write_table(table, tmp_path / "table.parquet")
    with pytest.raises(UsageError, match="no column error, height, label"):
        VideoIndex.load(tmp_path / "table.parquet")
    with pytest.raises(UsageError, match="no such index"):
        VideoIndex.build(tmp_path / "videos", known=tmp_path / "none.parquet")


def test_what_was_found_before_ctrl_c_is_kept(
    folder: Path, tmp_path: Path, looked_into: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = tmp_path / "index.parquet.unfinished"

    def interrupted(tasks, **options):
        yield 4, look(tasks[4].media, "fast")
        yield 0, look(tasks[0].media, "fast")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "look_at_all", interrupted)
        with pytest.raises(WorkError, match=r"2 of 6 videos were done; they are kept in .*unfinished"):
            VideoIndex.build(folder, unfinished=unfinished)
        with pytest.raises(KeyboardInterrupt):
            VideoIndex.build(folder)
    assert [row.name for row in VideoIndex.load(unfinished)] == ["0.mp4", "4.mp4"]
    looked_into.clear()
    index = VideoIndex.build(folder, unfinished=unfinished)
    assert looked_into == ["1.mp4", "2.mp4", "3.mp4", "5.mp4"]
    assert index.changes == Changes(new=4, unchanged=2)


def test_rows_are_kept_now_and_then_while_the_index_is_made(
    folder: Path, tmp_path: Path, looked_into: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videossl.data.index_changes.SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr("videossl.data.index_changes.LEAST_WORK_PER_SAVE", 0)
    VideoIndex.build(folder, unfinished=tmp_path / "unfinished")
    assert len(VideoIndex.load(tmp_path / "unfinished")) == 6
