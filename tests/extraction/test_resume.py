import importlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from grey_videos import LENGTHS, GreyLevel, extracted, ordered, write_grey

from videossl.errors import UsageError
from videossl.extraction.extract import delete_extraction
from videossl.tables import EmbeddingTable


@pytest.fixture
def own(videos: Path, tmp_path: Path) -> Path:
    """A copy of the videos that may be changed."""
    return Path(shutil.copytree(videos, tmp_path / "videos"))


def frames_of(table: pd.DataFrame, name: str) -> list[int]:
    return table[table.video == name].frame.tolist()


def test_a_second_run_reads_nothing_and_leaves_the_files_as_they_are(own: Path, tmp_path: Path) -> None:
    done, before = extracted(own, tmp_path / "out", frames_per_shard=8)
    stamps = [path.stat().st_mtime_ns for path in done.shards]
    model = GreyLevel()
    again, after = extracted(own, tmp_path / "out", model, frames_per_shard=8)
    assert model.batch_sizes == []
    assert (again.num_rows, again.num_new_rows, again.num_new, again.num_kept) == (done.num_rows, 0, 0, 4)
    assert [path.stat().st_mtime_ns for path in again.shards] == stamps
    pd.testing.assert_frame_equal(before, after)


def test_a_new_video_is_added_and_nothing_else_is_read(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out")
    write_grey(own, {"long/new.mp4": 4})
    model = GreyLevel()
    done, table = extracted(own, tmp_path / "out", model)
    assert sum(model.batch_sizes) == 1
    assert (done.num_new, done.num_new_rows, done.num_kept) == (1, 2, 4)
    assert frames_of(table, "long/new.mp4") == [0, 2]
    assert set(table.video) == {*LENGTHS, "long/new.mp4"}


@pytest.mark.parametrize("frames_per_shard", [1, 1000])
def test_rows_of_a_changed_video_are_replaced_and_said_to_be(own: Path, tmp_path: Path, frames_per_shard: int) -> None:
    extracted(own, tmp_path / "out", frames_per_shard=frames_per_shard)
    write_grey(own, {"long/b.mp4": 6}, first=3)
    done, table = extracted(own, tmp_path / "out", frames_per_shard=frames_per_shard)
    assert done.changed == ("long/b.mp4",)
    assert (done.num_new, done.num_new_rows, done.num_kept) == (0, 3, 3)
    rows = table[table.video == "long/b.mp4"]
    assert rows.frame.tolist() == [0, 2, 4]
    np.testing.assert_allclose(np.stack(rows.embedding.tolist())[0], [3, 4], atol=0.2)
    assert frames_of(table, "long/a.mp4") == [0, 2, 4, 6, 8, 10]
    fresh = extracted(own, tmp_path / "fresh")[1]
    pd.testing.assert_frame_equal(ordered(table), ordered(fresh))


def test_rows_of_a_vanished_video_are_removed_unless_they_are_to_be_kept(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out")
    (own / "long" / "b.mp4").unlink()
    done, table = extracted(own, tmp_path / "out", vanished="keep")
    assert (done.vanished, done.num_kept) == ((), 4)
    assert "long/b.mp4" in set(table.video)
    done, table = extracted(own, tmp_path / "out")
    assert (done.vanished, done.num_kept, done.num_new_rows) == (("long/b.mp4",), 3, 0)
    assert set(table.video) == set(LENGTHS) - {"long/b.mp4"}
    assert done.num_rows == len(table)


def test_a_folder_of_other_videos_is_not_emptied_by_mistake(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out")
    others = write_grey(tmp_path / "others", {"x.mp4": 4})
    with pytest.raises(UsageError, match="none of them is among"):
        extracted(others, tmp_path / "out")
    _, table = extracted(others, tmp_path / "out", vanished="keep")
    assert set(table.video) == {*LENGTHS, "x.mp4"}


def test_a_video_that_was_moved_with_its_folder_is_not_read_again(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out")
    model = GreyLevel()
    done, _ = extracted(own.rename(tmp_path / "elsewhere"), tmp_path / "out", model)
    assert (model.batch_sizes, done.num_kept) == ([], 4)


def test_a_video_with_another_label_is_read_again(own: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,label\n{own}/long/a.mp4,one\n{own}/long/b.mp4,two\n")
    extracted(listed, tmp_path / "out")
    listed.write_text(f"path,label\n{own}/long/a.mp4,one\n{own}/long/b.mp4,three\n")
    done, table = extracted(listed, tmp_path / "out")
    assert [Path(name).name for name in done.changed] == ["b.mp4"]
    assert set(table.label) == {"one", "three"}


def test_an_unreadable_video_is_tried_again_and_a_damaged_one_stays_listed(own: Path, tmp_path: Path) -> None:
    broken = own / "long" / "broken.mp4"
    broken.write_bytes(b"no video")
    assert [failure.video for failure in extracted(own, tmp_path / "out")[0].failures] == ["long/broken.mp4"]
    write_grey(own, {"long/broken.mp4": 2})
    done, table = extracted(own, tmp_path / "out")
    assert done.failures == ()
    assert frames_of(table, "long/broken.mp4") == [0]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("level", "clip", "level was frame, and is now clip"),
        ("clip_frames", 2, "clip_frames was 4, and is now 2"),
        ("dtype", "float16", "dtype was float32, and is now float16"),
        ("about", {"weights_sha256": "2"}, "weights_sha256 was None, and is now 2"),
    ],
)
def test_other_settings_than_those_of_the_folder_are_refused_by_name(
    videos: Path, tmp_path: Path, option: str, value: object, says: str
) -> None:
    _, before = extracted(videos, tmp_path)
    with pytest.raises(UsageError, match=says):
        extracted(videos, tmp_path, **{option: value})
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path), before)


class WithTensors(GreyLevel, torch.nn.Module):
    """The same with a tensor, by which it is known."""

    def __init__(self, value: float) -> None:
        torch.nn.Module.__init__(self)
        GreyLevel.__init__(self)
        self.value = torch.nn.Parameter(torch.tensor(value))


def test_rows_of_another_model_are_refused_though_nobody_names_the_models(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out", WithTensors(1.0))
    with pytest.raises(UsageError, match=r"model_sha256 was \w{64}, and is now \w{64}"):
        extracted(own, tmp_path / "out", WithTensors(2.0))
    with pytest.raises(UsageError, match=r"model_sha256 was \w{64}, and is now None"):
        extracted(own, tmp_path / "out", GreyLevel())


def test_the_same_tensors_from_another_file_go_on_and_the_rows_stay_one_table(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out", WithTensors(1.0), about={"weights_sha256": "1"})
    write_grey(own, {"long/new.mp4": 4})
    done, _ = extracted(own, tmp_path / "out", WithTensors(1.0), about={"weights_sha256": "2"})
    assert (done.num_new, done.num_kept) == (1, 4)
    assert EmbeddingTable(tmp_path / "out").about["weights_sha256"] == "1"


def test_rows_that_do_not_know_their_tensors_go_on_by_the_file(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out", about={"weights_sha256": "1"})  # as an earlier version wrote them
    with pytest.raises(UsageError, match="weights_sha256 was 1, and is now 2"):
        extracted(own, tmp_path / "out", WithTensors(1.0), about={"weights_sha256": "2"})
    done, _ = extracted(own, tmp_path / "out", WithTensors(1.0), about={"weights_sha256": "1"})
    assert done.num_kept == 4


def test_shards_of_something_else_are_refused(videos: Path, tmp_path: Path) -> None:
    pd.DataFrame({"video": ["a"]}).to_parquet(tmp_path / "part-00000.parquet")
    with pytest.raises(UsageError, match=r"part-00000.parquet was not written by this version"):
        extracted(videos, tmp_path)
    (tmp_path / "part-00000.parquet").write_bytes(b"half")
    with pytest.raises(UsageError, match=r"part-00000.parquet cannot be read"):
        extracted(videos, tmp_path)


def test_the_shards_alone_are_the_state(videos: Path, tmp_path: Path) -> None:
    extracted(videos, tmp_path)
    for path in tmp_path.iterdir():
        if not path.name.startswith("part-"):
            path.unlink() if path.is_file() else path.rmdir()
    model = GreyLevel()
    done, _ = extracted(videos, tmp_path, model)
    assert (model.batch_sizes, done.num_kept) == ([], 4)


def test_the_folder_says_how_all_was_made_and_from_what(own: Path, tmp_path: Path) -> None:
    extracted(own, tmp_path / "out", about={"run": "runs/quickstart"})
    about = json.loads((tmp_path / "out" / "_about.json").read_text())
    assert about["complete"] is True
    assert (about["num_videos"], about["run"], about["level"]) == (4, "runs/quickstart", "frame")
    os.utime(own / "long" / "a.mp4")
    extracted(own, tmp_path / "out", about={"run": "runs/quickstart"})
    after = json.loads((tmp_path / "out" / "_about.json").read_text())
    assert after["source_fingerprint"] != about["source_fingerprint"]


def test_deleting_an_extraction_leaves_what_others_have_put_there(videos: Path, tmp_path: Path) -> None:
    extracted(videos, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    delete_extraction(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", ".lock"}


def test_rows_that_were_taken_out_leave_whole_shards(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracted(own, tmp_path / "out")
    (own / "long" / "b.mp4").unlink()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("videossl.extraction.extract"), "planned", killed)
    with pytest.raises(KeyboardInterrupt):
        extracted(own, tmp_path / "out")
    (shard,) = (tmp_path / "out").glob("part-*.parquet")
    assert set(pd.read_parquet(shard).video) == set(LENGTHS) - {"long/b.mp4"}
    assert json.loads(pq.read_metadata(shard).metadata[b"videossl_videos"])
