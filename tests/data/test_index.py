"""The table of videos: rows, causes, split, file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from videossl.data import VideoIndex
from videossl.errors import UsageError
from videossl.types import Failure


@pytest.fixture
def mixed(tmp_path: Path, awkward_folder: Path, carphone: Path) -> Path:
    root = tmp_path / "mixed"
    for folder, name in (("run", "rotate90.mp4"), ("run", "vfr.mkv"), ("jump", "editlist.mp4"), ("jump", "text.mp4")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(awkward_folder / name, root / folder / name)
    shutil.copy(awkward_folder / "cover_audio.m4a", root / "cover.mp4")
    shutil.copy(carphone, root / "carphone.mp4")
    return root


def test_every_video_has_a_row_and_a_broken_one_its_cause(mixed: Path) -> None:
    index = VideoIndex.build(mixed, heldout_share=0.25, seed=0)
    rows = {row.name: row for row in index}
    assert list(rows) == sorted(rows)
    assert len(index) == 6
    assert (rows["run/rotate90.mp4"].height, rows["run/rotate90.mp4"].width) == (192, 144)
    assert rows["jump/editlist.mp4"].num_frames == 35
    assert rows["run/vfr.mkv"].seconds[-1] == pytest.approx(0.04 * 59 + 0.04 * 19 + 2)
    assert [(rows[name].label, rows[name].label_id) for name in ("jump/text.mp4", "run/vfr.mkv", "carphone.mp4")] == [
        ("jump", 0),
        ("run", 1),
        (None, -1),
    ]
    assert [failure.video for failure in index.failures] == ["cover.mp4", "jump/text.mp4"]
    assert index.failures[0] == Failure("cover.mp4", "has no video stream (sound or a cover picture only).")
    assert rows["cover.mp4"].split is None
    assert len(index.readable) == 4


def test_parts_keep_the_rows_of_the_full_index(mixed: Path) -> None:
    index = VideoIndex.build(mixed, heldout_share=0.25, seed=0)
    train, heldout = index.split("train"), index.split("heldout")
    assert (len(train), len(heldout)) == (3, 1)
    assert sorted([*train.videos, *heldout.videos]) == sorted(index.readable.videos)
    for part in (train, heldout):
        assert all(index[row.video] is row for row in part)
    with pytest.raises(UsageError, match="train"):
        index.split("test")  # type: ignore[arg-type]


def test_files_may_be_given_as_text(mixed: Path, tmp_path: Path) -> None:
    saved, unfinished = str(tmp_path / "index.parquet"), str(tmp_path / "unfinished.parquet")
    index = VideoIndex.build(mixed, unfinished=unfinished)
    index.save(saved)
    assert len(VideoIndex.load(saved)) == len(VideoIndex.build(mixed, known=saved)) == len(index)


def test_a_saved_index_is_loaded_whole(mixed: Path, tmp_path: Path) -> None:
    index = VideoIndex.build(mixed, heldout_share=0.5, seed=3)
    index.save(tmp_path / "sub" / "index.parquet")
    again = VideoIndex.load(tmp_path / "sub" / "index.parquet")
    for row, other in zip(index, again, strict=True):
        for name in row.__slots__:
            np.testing.assert_equal(getattr(other, name), getattr(row, name))


def test_what_is_no_index_is_refused(tmp_path: Path, mixed: Path) -> None:
    with pytest.raises(UsageError, match="no such index"):
        VideoIndex.load(tmp_path / "index.parquet")
    (tmp_path / "index.parquet").write_text("no table")
    with pytest.raises(UsageError, match="is not an index"):
        VideoIndex.load(tmp_path / "index.parquet")
    with pytest.raises(UsageError, match="heldout_share from 0 to 1"):
        VideoIndex.build(mixed, heldout_share=1.5, seed=0)


def heldout_names(folder: Path, share: float, seed: int = 0) -> set[str]:
    return {row.name for row in VideoIndex.build(folder, heldout_share=share, seed=seed).split("heldout")}


def test_the_split_depends_on_names_and_seed_only(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    assert heldout_names(folder, 0.5) == heldout_names(elsewhere, 0.5)
    assert len({frozenset(heldout_names(folder, 0.5, seed)) for seed in range(6)}) > 1
    assert heldout_names(folder, 0.34) < heldout_names(folder, 0.67)


def test_the_share_is_rounded_but_some_and_never_all_are_held_out(folder: Path) -> None:
    assert [len(heldout_names(folder, share)) for share in (0, 0.01, 0.25, 0.5, 0.99, 1)] == [0, 1, 2, 3, 5, 6]


def test_the_only_video_is_not_held_out(carphone: Path) -> None:
    assert heldout_names(carphone, 0.9) == set()


def test_several_threads_make_the_same_index(folder: Path) -> None:
    one, two = (VideoIndex.build(folder, heldout_share=0.5, seed=0, num_workers=workers) for workers in (1, 3))
    assert [(row.name, row.split, row.num_frames) for row in one] == [
        (row.name, row.split, row.num_frames) for row in two
    ]


def test_an_index_of_tiny_videos_is_made_from_their_packets(folder: Path, make_video: Callable[..., Path]) -> None:
    make_video(folder / "long.mp4", num_frames=30)
    index = VideoIndex.build(folder, heldout_share=0, seed=0)
    assert [row.num_frames for row in index] == [8] * 6 + [30]
