"""`videossl extract`, from the command line to the files."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from grey_videos import write_grey
from small_models import write_run

import videossl
from videossl.cli.dispatch import main
from videossl.data import PyAVReader
from videossl.extraction import read_about


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_run(tmp_path_factory.mktemp("runs") / "run"))


def extract(run: Path, videos: Path, out: Path, *options: str) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as left:
        main(["extract", "--run", str(run), "--videos", str(videos), "--out", str(out), *options])
    return int(left.value.code or 0)


def test_rows_are_what_the_model_says_of_clips_like_those_of_its_training(
    run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(run, videos, tmp_path / "out", "--level", "clip") == 0
    assert "one per clip" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "out")
    rows = table[table.video == "long/a.mp4"]
    assert rows.frame.tolist() == [0, 4]  # 4 frames, every second: 0 2 4 6, and the last ones 4 6 8 10
    with PyAVReader(videos / "long" / "a.mp4") as reader:
        clip = torch.from_numpy(reader.read([4, 6, 8, 10], size=16)).movedim(-1, 1)
    wanted = videossl.load(run).embed(clip[None]).representation[0]
    np.testing.assert_allclose(rows.embedding.tolist()[1], wanted, atol=1e-5)
    about = read_about(tmp_path / "out" / "part-00000.parquet")
    assert (about["clip_frames"], about["frame_stride"], about["frame_size"]) == (4, 2, 16)
    assert about["config"]["model"]["init_args"]["pooling"] == "mean_max"  # type: ignore[index]
    assert len(str(about["weights_sha256"])) == 64


def test_the_same_command_tomorrow_reads_what_is_new_and_says_so(
    run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(videos, tmp_path / "videos"))
    assert extract(run, own, tmp_path / "out") == 0
    write_grey(own, {"long/new.mp4": 5, "long/b.mp4": 6})
    (own / "short" / "c.mp4").unlink()
    capsys.readouterr()
    assert extract(run, own, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "of 1 changed video the rows were replaced: long/b.mp4" in said
    assert "of 1 video that is not among the videos any more the rows were removed: short/c.mp4" in said
    assert "2 videos had their rows already, 1 video is new" in said
    assert set(pd.read_parquet(tmp_path / "out").video) == {
        "long/a.mp4",
        "long/b.mp4",
        "long/new.mp4",
        "short/image.mp4",
    }
    assert extract(run, own, tmp_path / "out") == 0
    assert "wrote 0 rows" in capsys.readouterr().out


def test_failures_leave_exit_code_1_unless_they_are_allowed(
    run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(videos, tmp_path / "videos"))
    (own / "long" / "broken.mp4").write_bytes(b"no video")
    assert extract(run, own, tmp_path / "out") == 1
    assert "could not read long/broken.mp4" in capsys.readouterr().out
    assert extract(run, own, tmp_path / "out", "--allow_failures", "true") == 0
    assert "long/broken.mp4" in (tmp_path / "out" / "_failures.csv").read_text()


def test_other_options_than_those_of_the_folder_are_one_line_and_overwriting_takes_them(
    run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert extract(run, videos, out) == 0
    before = {path.name: path.read_bytes() for path in out.glob("part-*")}
    assert extract(run, videos, out, "--level", "token") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "level was frame, and is now token" in line
    assert {path.name: path.read_bytes() for path in out.glob("part-*")} == before
    (out / "_notes.txt").write_text("mine")
    assert extract(run, videos, out, "--level", "token", "--overwrite", "true") == 0
    assert {"token_row", "token_column"} <= set(pd.read_parquet(out).columns)
    assert (out / "_notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--overlap_frames", "4"], "overlap_frames from 0 to 3"),
        (["--overlap_frames", "2", "--step_frames", "2"], "Give one of them"),
        (["--frame_stride", "2", "--target_fps", "2"], "Give one of them"),
        (["--step_frames", "8"], "step_frames of at most clip_frames = 4"),
        (["--level", "image"], "level"),
        (["--num_actors", "2"], "belongs to --engine ray"),
        (["--batch_size", "0"], "batch_size of at least 1"),
    ],
)
def test_options_that_cannot_work_are_one_line(
    run: Path,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    assert extract(run, videos, tmp_path / "out", *options) == 2
    (line,) = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith("videossl extract:")]
    assert says in line
    assert not list(tmp_path.glob("out/part-*"))


def test_folders_of_others_are_not_written_into(
    run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    assert extract(run, videos, tmp_path / "out") == 2
    assert "is not what this command writes" in capsys.readouterr().err


def test_windows_rates_and_sizes_may_differ_from_training(run: Path, videos: Path, tmp_path: Path) -> None:
    options = ["--clip_frames", "8", "--overlap_frames", "4", "--target_fps", "10", "--frame_size", "24"]
    assert extract(run, videos, tmp_path / "out", *options, "--dtype", "float16", "--precision", "bfloat16") == 0
    table = pd.read_parquet(tmp_path / "out")
    assert table[table.video == "long/a.mp4"].frame.tolist() == [0, 2, 4, 6, 8, 10]
    about = json.loads((tmp_path / "out" / "_about.json").read_text())
    assert (about["clip_frames"], about["step_frames"], about["frame_stride"]) == (8, 4, None)
    assert (about["precision"], about["dtype"], about["complete"]) == ("bfloat16", "float16", True)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--num_workers", "0", "num_workers of at least 1, got 0"),
        ("--batch_size", "0", "batch_size of at least 1, got 0"),
        ("--frame_stride", "0", "frame_stride of at least 1, got 0"),
        ("--frame_size", "50", "multiples of the patch size"),
    ],
)
def test_options_that_cannot_work_leave_no_folder(
    run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, says: str
) -> None:
    assert extract(run, videos, tmp_path / "out", option, value) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_where_model_and_videos_lie_is_said_from_the_root(
    run: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    assert extract(Path(run.name), Path(os.path.relpath(videos)), tmp_path / "out") == 0
    about = read_about(tmp_path / "out" / "part-00000.parquet")
    assert (about["run"], about["videos"]) == (str(run), str(videos))
