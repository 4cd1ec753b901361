import csv
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from grey_videos import FPS, LENGTHS, GreyLevel, extracted
from torch import Tensor

from videossl.data.decode.base import VideoError
from videossl.data.decode.pyav import PyAVReader
from videossl.errors import UsageError, WorkError
from videossl.extraction import ExtractionSettings, Level, extract, pieces, read_about
from videossl.types import Embeddings


def test_rows_of_level_frame_hold_the_frames_that_they_name(videos: Path, tmp_path: Path) -> None:
    done, table = extracted(videos, tmp_path)
    assert list(table.columns) == [
        "video", "frame", "seconds", "label", "embedding", "repeated_frames", "near_damage",
    ]  # fmt: skip
    assert done.num_rows == len(table)
    for name, length in LENGTHS.items():
        rows = table[table.video == name]
        assert rows.frame.tolist() == list(range(0, length, 2))
        np.testing.assert_allclose(rows.seconds, rows.frame / FPS, atol=1e-3)
        seen = np.stack(rows.embedding.tolist())
        wanted = np.minimum(np.stack([rows.frame, rows.frame + 1], axis=1), length - 1)
        np.testing.assert_allclose(seen, wanted, atol=0.2)
        assert set(rows.label) == {name.split("/")[0]}


def test_rows_of_level_clip_are_one_per_window(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path, level="clip")
    assert table[table.video == "long/a.mp4"].frame.tolist() == [0, 4, 8]
    assert table[table.video == "long/b.mp4"].frame.tolist() == [0, 4]
    assert table[table.video == "short/image.mp4"].frame.tolist() == [0]


def test_a_row_of_level_video_is_the_mean_of_its_clips(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path, level="video")
    assert table.video.tolist() == list(LENGTHS)
    assert table.frame.tolist() == [0] * len(LENGTHS)
    np.testing.assert_allclose(table.embedding[1], [3, 4], atol=0.2)  # 8 frames: even ones, odd ones


def test_a_stride_samples_every_so_many_frames(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path, frame_stride=3)
    rows = table[table.video == "long/a.mp4"]
    assert rows.frame.tolist() == [0, 6]
    np.testing.assert_allclose(np.stack(rows.embedding.tolist()), [[0, 3], [6, 9]], atol=0.2)


def test_a_frame_rate_samples_by_time(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path, target_fps=5.0)
    rows = table[table.video == "long/a.mp4"]
    assert rows.frame.tolist() == [0, 4, 8]
    np.testing.assert_allclose(rows.seconds, [0, 0.4, 0.8], atol=1e-3)


def test_batches_are_filled_across_videos(videos: Path, tmp_path: Path) -> None:
    model = GreyLevel()
    extracted(videos, tmp_path, model, batch_size=3)
    assert sorted(model.batch_sizes) == [1, 3, 3]


@pytest.mark.parametrize("level", ["frame", "clip", "video"])
def test_neither_batches_nor_shards_nor_pieces_change_a_row(
    videos: Path, tmp_path: Path, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = extracted(videos, tmp_path / "whole", level=level)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1)
    done, parts = extracted(videos, tmp_path / "parts", level=level, batch_size=1, frames_per_shard=10)
    assert [pd.read_parquet(shard).video.nunique() for shard in done.shards] == [1, 2, 1]
    pd.testing.assert_frame_equal(whole.drop(columns="embedding"), parts.drop(columns="embedding"))
    np.testing.assert_allclose(np.stack(whole.embedding.tolist()), np.stack(parts.embedding.tolist()), atol=1e-6)


def test_shards_say_how_they_were_made(videos: Path, tmp_path: Path) -> None:
    done, _ = extracted(videos, tmp_path, about={"run": "runs/quickstart"})
    about = read_about(done.shards[0])
    assert {"run", "level", "pooling", "package_version", "frame_size", "clip_frames", "frame_stride"} <= about.keys()
    assert about["run"] == "runs/quickstart"
    assert str(pq.read_schema(done.shards[0]).field("embedding").type) == "fixed_size_list<element: float>[2]"


def test_the_folder_is_one_table_to_those_who_read_folders(videos: Path, tmp_path: Path) -> None:
    done, table = extracted(videos, tmp_path, frames_per_shard=12)
    assert len(done.shards) > 1
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path), table)


def test_short_videos_are_counted(videos: Path, tmp_path: Path) -> None:
    done, _ = extracted(videos, tmp_path)
    assert done.num_filled == 2
    assert done.failures == ()


def test_an_unreadable_video_is_listed_and_the_others_are_embedded(videos: Path, tmp_path: Path) -> None:
    (videos / "long" / "broken.mp4").write_bytes(b"no video")
    try:
        done, table = extracted(videos, tmp_path)
    finally:
        (videos / "long" / "broken.mp4").unlink()
    assert set(table.video) == set(LENGTHS)
    assert [failure.video for failure in done.failures] == ["long/broken.mp4"]
    with (tmp_path / "_failures.csv").open() as file:
        assert list(csv.reader(file)) == [["video", "cause"], ["long/broken.mp4", done.failures[0].cause]]


class Damaged(PyAVReader):
    """Cannot read frames 4 to 6."""

    def read(self, frames, *, size):  # type: ignore[no-untyped-def]
        if {4, 5, 6} & set(frames):
            raise VideoError(self.path, "damaged at frame 4.")
        return super().read(frames, size=size)


@pytest.mark.parametrize("piece_bytes", [1, pieces.PIECE_BYTES])
def test_a_video_with_a_damaged_place_keeps_its_other_rows_and_is_listed(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece_bytes)
    done, table = extracted(videos, tmp_path / "frames", reader=Damaged, clip_frames=2)
    assert table[table.video == "long/a.mp4"].frame.tolist() == [0, 2, 8, 10]
    assert [failure.video for failure in done.failures] == ["long/a.mp4", "long/b.mp4"]
    assert done.failures[0].cause == "damaged at frame 4; 2 of 6 clips are lost"
    _, whole = extracted(videos, tmp_path / "videos", reader=Damaged, level="video")
    assert whole.video.tolist() == ["short/c.mp4", "short/image.mp4"]


def test_no_readable_video_is_failed_work_with_the_causes_on_disk(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(WorkError, match=r"none of the 1 videos could be read.*broken.mp4"):
        extracted(tmp_path / "videos", tmp_path / "out")
    assert "broken.mp4" in (tmp_path / "out" / "_failures.csv").read_text()


@pytest.mark.parametrize("option", ["batch_size", "frames_per_shard", "clip_frames", "frame_stride"])
def test_options_below_one_are_refused_by_name(videos: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match=option):
        extracted(videos, tmp_path, **{option: 0})


class Broken(GreyLevel):
    def embed(self, frames: Tensor) -> Embeddings:
        good = super().embed(frames)
        return Embeddings(good.representation, good.embedding, good.frames / 0)


def test_embeddings_that_are_no_numbers_are_failed_work(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="not finite"):
        extracted(videos, tmp_path, Broken())


class Crashing(PyAVReader):
    """Takes its process down in one video, from frame 4 on."""

    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        if self.path.name == "a.mp4" and max(frames) > 4:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().read(frames, size=size)


def test_a_decoder_that_crashes_costs_its_video_only(videos: Path, tmp_path: Path) -> None:
    done, table = extracted(videos, tmp_path, reader=Crashing, isolate=True)
    assert [(failure.video, failure.cause) for failure in done.failures] == [
        ("long/a.mp4", "its decoder crashed (SIGSEGV)")
    ]
    assert set(table.video) == set(LENGTHS) - {"long/a.mp4"}
    assert "long/a.mp4" in (tmp_path / "_failures.csv").read_text()


class Hanging(PyAVReader):
    """Hangs in one video, and writes down how often it was asked for it."""

    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        if self.path.name == "b.mp4":
            with (self.path.parent / "asked.txt").open("a") as file:
                file.write("once\n")
            time.sleep(60)
        return super().read(frames, size=size)


def test_a_decoder_that_hangs_is_waited_for_once(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(shutil.copytree(videos, tmp_path / "videos"))
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1)  # one clip a piece
    options = {"reader": Hanging, "isolate": True, "deadline_seconds": 1.0, "num_workers": 1}
    done, table = extracted(own, tmp_path / "out", step_frames=2, **options)
    assert set(table.video) == set(LENGTHS) - {"long/b.mp4"}
    (failure,) = done.failures
    assert failure.video == "long/b.mp4"
    assert "hung" in failure.cause
    assert (own / "long" / "asked.txt").read_text().count("once") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("level", "clips"),
        ("video_pooling", "avg"),
        ("precision", "fp16"),
        ("dtype", "float64"),
        ("file_format", "csv"),
        ("vanished", "forget"),
    ],
)
def test_choices_that_are_none_are_refused_before_a_folder_is_made(
    videos: Path, tmp_path: Path, option: str, value: str
) -> None:
    with pytest.raises(UsageError, match=f"expected {option} to be one of .*, got '{value}'"):
        extracted(videos, tmp_path / "out", **{option: value})
    assert not (tmp_path / "out").exists()


def test_a_folder_instead_of_an_index_is_refused(videos: Path, tmp_path: Path) -> None:
    settings = ExtractionSettings(frame_size=32, clip_frames=4)
    with pytest.raises(UsageError, match="expected a VideoIndex, got"):
        extract(GreyLevel(), str(videos), settings=settings, reader=PyAVReader, out=tmp_path / "out")  # type: ignore[arg-type]
