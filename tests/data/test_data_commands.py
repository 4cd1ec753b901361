"""`videossl index` and `videossl cache` on the command line: every form of videos, and no room or right to write."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from coded_videos import write_coded

from videossl.cli import main
from videossl.data import VideoIndex, find_videos


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for number in range(2):
        write_coded(tmp_path / f"{number}.mp4", range(8))
    pd.DataFrame({"clip": ["0.mp4", "1.mp4"], "verb": ["run", "jump"]}).to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def command(*args: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(arg) for arg in args])
    return int(end.value.code or 0)


def test_index_and_cache_take_tables_with_named_columns_and_several_sets(table: Path, tmp_path: Path) -> None:
    one = f"{{videos: {table}, columns: {{path: clip, label: verb}}}}"
    assert command("index", "--videos", one, "--out", tmp_path / "index.parquet", "--workers", 1) == 0
    assert [row.label for row in VideoIndex.load(tmp_path / "index.parquet")] == ["run", "jump"]
    (tmp_path / "more").mkdir()
    write_coded(tmp_path / "more" / "2.mp4", range(8))
    several = f"[{one}, {{videos: {tmp_path / 'more'}, weight: 2}}]"
    assert command("cache", "--videos", several, "--out", tmp_path / "store", "--frame_size", 16) == 0
    found = find_videos(tmp_path / "store")
    assert [source.label for source in found] == ["run", "jump", None]
    assert [source.weight for source in found] == pytest.approx([0.5, 0.5, 2.0])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_no_room_and_no_right_are_one_line(
    number: int, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number), "index.parquet")

    monkeypatch.setattr("videossl.files.tempfile.mkstemp", refused)
    assert command("index", "--videos", table.parent, "--out", tmp_path / "index.parquet", "--workers", 1) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1] == f"videossl index: cannot be written or read: index.parquet: {os.strerror(number)}"


def test_a_folder_that_cannot_be_written_is_known_before_any_video_is_looked_into(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(kwargs["dir"]))

    monkeypatch.setattr("videossl.data.index_command.tempfile.TemporaryFile", refused)
    assert command("index", "--videos", table.parent, "--out", tmp_path / "index.parquet") == 1
    assert capsys.readouterr().err == f"videossl index: cannot be written or read: {tmp_path}: Permission denied\n"


def test_overwriting_a_store_deletes_its_own_files_only_and_never_its_videos(table: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    made = ("cache", "--videos", table.parent / "0.mp4", "--out", store, "--frame_size", 16)
    assert command(*made) == 0
    (store / "notes.txt").write_text("mine")
    assert command(*made, "--overwrite", "true") == 0
    assert (store / "notes.txt").read_text() == "mine"
    of_itself = ("cache", "--videos", store, "--out", store, "--frame_size", 16)
    for options in ((), ("--overwrite", "true")):
        assert command(*of_itself, *options) == 2
    assert len(VideoIndex.build(store, check="full", heldout_share=0).readable) == 1


def test_a_store_that_is_being_written_is_not_overwritten(table: Path, tmp_path: Path) -> None:
    made = ("cache", "--videos", table.parent / "0.mp4", "--out", tmp_path / "store", "--frame_size", 16)
    assert command(*made) == 0
    code = (
        "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.lockf(lock, fcntl.LOCK_EX); print(flush=True); input()"
    )
    writer = [sys.executable, "-c", code, str(tmp_path / "store" / ".lock")]
    with subprocess.Popen(writer, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert command(*made, "--overwrite", "true") == 2
        other.communicate("\n")
    assert len(find_videos(tmp_path / "store")) == 1
