"""`videossl index`, as a user runs it."""

import shutil

import pandas as pd
import pytest
from command_line import REPOSITORY, videossl

from videossl.cli import main

AWKWARD = REPOSITORY / "tests/data/awkward"


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("two_frames.mp4", "editlist.mp4", "text.mp4"):
        shutil.copy(AWKWARD / name, folder / name)
    return folder


@pytest.fixture
def run(capsys):
    """Run a command line in this process: exit code, standard output, standard error."""

    def running(*args):
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        return (left.value.code, *capsys.readouterr())

    return running


def test_an_index_is_made_updated_and_read_with_pandas(videos, tmp_path, run):
    out = tmp_path / "sub" / "index.parquet"
    done = videossl("index", "--videos", videos, "--out", out, "--heldout_share", 0.5, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "could not read text.mp4: is not a video" in done.stdout
    assert "index: 3 new, 0 changed, 0 vanished, 0 unchanged, 1 unreadable" in done.stdout
    table = pd.read_parquet(out).set_index("name")
    assert table.num_frames.to_dict() == {"editlist.mp4": 35, "text.mp4": 0, "two_frames.mp4": 2}
    assert table.error.notna().to_dict() == {"editlist.mp4": False, "text.mp4": True, "two_frames.mp4": False}
    assert sorted(table.split.dropna()) == ["heldout", "train"]
    shutil.copy(AWKWARD / "rotate90.mp4", videos / "new.mp4")
    (videos / "two_frames.mp4").unlink()
    code, said, _ = run("index", "--videos", videos, "--out", out)
    assert "index: 1 new, 0 changed, 1 vanished, 1 unchanged, 1 looked into again, 1 unreadable" in said
    assert code == 0
    assert [path.name for path in out.parent.iterdir()] == ["index.parquet"]
    _, said, _ = run("index", "--videos", out, "--out", tmp_path / "copy.parquet", "--check", "full")
    assert "index: 0 new, 0 changed, 0 vanished, 0 unchanged, 3 looked into again, 1 unreadable" in said
    assert set(pd.read_parquet(tmp_path / "copy.parquet").check) == {"full"}


def test_no_readable_video_is_exit_code_1_and_still_a_table(videos, tmp_path, run):
    (videos / "two_frames.mp4").unlink()
    (videos / "editlist.mp4").unlink()
    assert run("index", "--videos", videos, "--out", tmp_path / "index.parquet")[0] == 1
    assert pd.read_parquet(tmp_path / "index.parquet").error.notna().all()


def test_what_is_no_index_is_not_replaced(videos, tmp_path, run):
    (tmp_path / "notes.txt").write_text("mine")
    notes = (tmp_path / "notes.txt").rename(tmp_path / "notes.parquet")
    code, _, said = run("index", "--videos", videos, "--out", notes)
    assert (code, said.count("\n")) == (2, 1)
    assert "is no index of videos" in said
    assert notes.read_text() == "mine"


def test_an_index_is_not_written_under_the_name_of_another_format(videos, tmp_path, run):
    code, _, said = run("index", "--videos", videos, "--out", tmp_path / "index.csv")
    assert (code, said.count("\n")) == (2, 1)
    assert "to end in .parquet" in said
    assert not (tmp_path / "index.csv").exists()


def test_what_the_folder_refused_stays_refused_in_an_index_of_its_index(videos, tmp_path, run):
    outside = shutil.copy(videos / "two_frames.mp4", tmp_path / "secret.mp4")
    (videos / "link.mp4").symlink_to(outside)
    run("index", "--videos", videos, "--out", tmp_path / "one.parquet")
    (videos / "text.mp4").unlink()
    shutil.copy(videos / "two_frames.mp4", videos / "text.mp4")
    _, said, _ = run("index", "--videos", tmp_path / "one.parquet", "--out", tmp_path / "two.parquet")
    assert "could not read link.mp4: is a link to a file outside of" in said
    table = pd.read_parquet(tmp_path / "two.parquet").set_index("name")
    assert table.error.notna().to_dict()["text.mp4"] is False  # what could not be decoded is looked at again
    assert table.refused.to_dict()["link.mp4"] is True
