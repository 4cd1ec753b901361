"""`videossl cache` and `videossl bench data`, as they are called."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from videossl.cli import main
from videossl.data import ClipPlanner, PyAVReader, VideoIndex
from videossl.evaluation import read_held_out
from videossl.evaluation.of_run import world_of

SMALL = """
data: {videos: VIDEOS, frame_size: 16, clips: {num_views: 2, num_frames: 2, mode: future}, heldout_share: 0.25}
model:
  encoder:
    class_path: videossl.models.VideoTransformer
    init_args: {width: 12, depth: 1, num_heads: 2, patch_size: 8, tubelet_frames: 2}
  projector: {class_path: videossl.models.MLPProjector, init_args: {embedding_dim: 8, hidden_dim: 8}}
objective: {class_path: videossl.objectives.MVInfoNCE}
augment: {size: 16}
training: {max_steps: 3, batch_size: 2, warmup_steps: 1, num_workers: 1, log_every: 1}
out: OUT
"""


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(5):
        with av.open(str(folder / f"{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            for i in range(6):
                frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 20 * i, np.uint8), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def config(tmp_path: Path, videos: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("VIDEOS", str(videos)).replace("OUT", str(tmp_path / "run")))
    return path


def test_a_cache_is_written_once_updated_and_told_of(videos: Path, tmp_path: Path, call: Callable) -> None:
    cache = ("cache", "--videos", videos, "--out", tmp_path / "store", "--frame_size")
    code, said, _ = call(*cache, 16)
    assert code == 0
    assert "5 videos, 30 frames of 16 x 16 pixels" in said
    assert "(5 written now" in said
    (videos / "bad.mp4").write_text("no video")
    code, said, _ = call(*cache, 16)
    assert code == 1
    assert "(0 written now" in said
    assert "could not read bad.mp4: is not a video" in said
    assert f"all are listed in {tmp_path / 'store' / 'unreadable.csv'}" in said
    code, _, error = call(*cache, 32)
    assert code == 2
    assert error.count("\n") == 1
    assert "was made with --frame_size 16" in error
    code, said, _ = call(*cache, 32, "--overwrite", "true")
    assert "30 frames of 32 x 32 pixels" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frame_size", 0), "expected frame_size of at least 1 pixel, got 0"),
        (("--frame_size", 8, "--target_fps", -1), "expected target_fps above 0"),
        (("--frame_size", 8, "--num_workers", 0), "expected num_workers of at least 1"),
        (("--frame_size", 8, "--deadline_seconds", 0), "expected deadline_seconds above 0"),
    ],
)
def test_options_of_a_cache_that_cannot_work_are_refused(
    videos: Path, tmp_path: Path, call: Callable, options: tuple[object, ...], message: str
) -> None:
    code, _, error = call("cache", "--videos", videos, "--out", tmp_path / "store", *options)
    assert code == 2
    assert message in error
    assert not (tmp_path / "store").exists()


def test_a_folder_that_is_no_store_is_not_touched(videos: Path, tmp_path: Path, call: Callable) -> None:
    code, _, error = call("cache", "--videos", videos, "--out", videos, "--frame_size", 8, "--overwrite", "true")
    assert code == 2
    assert "holds the videos, for example 0.mp4, and would be overwritten" in error
    assert len(list(videos.iterdir())) == 5
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("not to be lost")
    code, _, error = call(
        "cache", "--videos", videos, "--out", tmp_path / "mine", "--frame_size", 8, "--overwrite", "true"
    )
    assert code == 2
    assert "is not what this command writes" in error
    assert (tmp_path / "mine" / "notes.txt").exists()


def test_training_reads_a_store_by_its_path_alone(videos: Path, tmp_path: Path, call: Callable) -> None:
    assert call("cache", "--videos", videos, "--out", tmp_path / "store", "--frame_size", 16)[0] == 0
    code, said, error = call("pretrain", "--config", config(tmp_path, videos), "--data.videos", tmp_path / "store")
    assert code == 0, error
    assert "trained 3 steps" in said
    code, said, error = call(
        "extract", "--run", tmp_path / "run", "--videos", tmp_path / "store", "--out", tmp_path / "e"
    )
    assert code == 0, error
    code, _, error = call(
        "pretrain", "--config", config(tmp_path, videos), "--data.videos", tmp_path / "store", "--data.frame_size", 17,
        "--out", tmp_path / "other",
    )  # fmt: skip
    assert code == 2
    assert "holds frames of 16 pixels, and data.frame_size=17 is asked for" in error


def test_the_meter_says_where_the_time_goes_and_what_to_change(videos: Path, tmp_path: Path, call: Callable) -> None:
    code, said, error = call("bench", "data", "--config", config(tmp_path, videos), "--batches", 2)
    assert code == 0, error
    for part in (
        "open",
        "decode",
        "convert + resize",
        "collate",
        "augment",
        "together",
        "0 workers",
        "samples/s",
        "wait",
    ):
        assert part in said
    assert said.count("<- training.num_workers") == 1
    assert said.splitlines()[-1].startswith("advice: ")
    code, _, error = call("bench", "data", "--config", config(tmp_path, videos), "--batches", 0)
    assert code == 2
    assert "expected batches of at least 1" in error


def test_the_store_of_a_world_knows_its_futures(tmp_path: Path) -> None:
    world, store = tmp_path / "world", tmp_path / "store"
    for options in (
        ["world", "digits", "--preset", "one-8", "--num_videos", "24", "--out", str(world)],
        ["cache", "--videos", str(world), "--out", str(store), "--frame_size", "24", "--num_workers", "1"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(options)
        assert ended.value.code == 0
    read = []
    for videos in (world, store):
        index = VideoIndex.build(str(videos), heldout_share=0.9, seed=0)
        found = world_of(index)
        assert found is not None
        held_out = read_held_out(index, ClipPlanner(num_frames=4), PyAVReader, frame_size=24, world=found)
        read.append(held_out)
    files, frames = read
    assert files.names == frames.names
    assert files.branches is not None
    assert frames.branches is not None
    torch.testing.assert_close(files.branches, frames.branches, rtol=0, atol=0)
    torch.testing.assert_close(files.contexts, frames.contexts, rtol=0, atol=0)
