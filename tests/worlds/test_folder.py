"""Worlds written to disk are ordinary videos, and come back with their truth."""

import subprocess
import sys

import av
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from videossl.errors import UsageError
from videossl.worlds import Digits, Truth, World, copy_world, is_world, load_world, write_world
from videossl.worlds.video_file import write_video


def decode(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [float(frame.pts * frame.time_base) for frame in frames]
    pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2), times


def nearest_frames(decoded, rendered):
    distance = (decoded[:, None].float() - rendered[None].float()).abs().flatten(2).mean(2)
    return distance.argmin(dim=1).tolist(), distance.diagonal()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("world") / "digits"
    write_world(Digits(probabilities=[0.3] + [0.1] * 7), out, num_videos=150, seed=4)
    return out


def test_a_written_video_is_the_rendered_clip_frame_for_frame(folder):
    world, truth = load_world(folder)
    rendered = world.render(truth)
    for row in range(0, 150, 10):
        decoded, times = decode(folder / truth.video[row])
        order, difference = nearest_frames(decoded, rendered[row])
        assert order == list(range(8))
        assert difference.max() < 0.5  # of 255
        np.testing.assert_allclose(times, np.arange(8) / 8, atol=1e-6)


def test_a_colourful_video_keeps_its_colours(tmp_path):
    ramp = torch.linspace(0, 255, 64).to(torch.uint8)
    clip = torch.stack(
        [
            torch.stack([ramp.roll(3 * t).expand(64, 64), ramp.expand(64, 64).T, ramp.flip(0).expand(64, 64)])
            for t in range(5)
        ]
    )
    write_video(tmp_path / "colour.mp4", clip, frames_per_second=30)
    decoded, times = decode(tmp_path / "colour.mp4")
    assert decoded.shape == clip.shape
    assert nearest_frames(decoded, clip)[1].max() < 4
    np.testing.assert_allclose(times, np.arange(5) / 30, atol=1e-4)


def test_a_single_frame_is_a_video(tmp_path):
    clip = Digits().sample(1, seed=0).clips[0, :1]
    write_video(tmp_path / "one.mp4", clip, frames_per_second=8)
    assert decode(tmp_path / "one.mp4")[0].shape == (1, 3, 48, 48)


def test_the_truth_comes_back_as_it_was(folder):
    world, truth = load_world(folder)
    assert isinstance(world, Digits)
    drawn = world.truth(150, seed=4)
    for name in ("seed", "row", "branch", "classes", "exemplars", "positions", "velocities", "kick"):
        np.testing.assert_array_equal(getattr(truth, name), getattr(drawn, name))
        assert getattr(truth, name).dtype == getattr(drawn, name).dtype
    assert truth.video.tolist() == [f"videos/{number:06d}.mp4" for number in range(150)]
    assert sorted(path.relative_to(folder).as_posix() for path in folder.glob("videos/*")) == truth.video.tolist()
    branches = world.branches(truth[:5])
    assert torch.equal(branches.clips[range(5), truth.branch[:5]], world.render(truth[:5])[:, 4:])
    torch.testing.assert_close(branches.probabilities[0], torch.tensor([0.3] + [0.1] * 7, dtype=torch.float64))


def test_videos_are_looked_up_by_name(folder):
    _, truth = load_world(folder)
    assert truth.for_videos(["videos/000009.mp4", "videos/000002.mp4"]).row.tolist() == [9, 2]
    with pytest.raises(UsageError, match=r"names no video 'x.mp4' \(1 of 2 missing\)"):
        truth.for_videos(["videos/000009.mp4", "x.mp4"])


def test_a_world_can_be_moved_with_the_files_it_was_made_from(tmp_path, idx_bytes):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(idx_bytes(np.random.default_rng(0).integers(0, 255, (6, 28, 28), dtype=np.uint8)))
    labels.write_bytes(idx_bytes(np.arange(6, dtype=np.uint8)))
    world = Digits(idx_images=images, idx_labels=labels, kick="gaussian")
    write_world(world, tmp_path / "out", num_videos=3, seed=0)
    expected = world.sample(3, seed=0).clips
    images.unlink()
    labels.unlink()
    (tmp_path / "out").rename(tmp_path / "moved")
    again, truth = load_world(tmp_path / "moved")
    assert torch.equal(again.render(truth), expected)
    assert str(tmp_path) not in (tmp_path / "moved" / "world.yaml").read_text()


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(folder, tmp_path):
    with pytest.raises(UsageError, match="new or empty folder"):
        write_world(Digits(), folder, num_videos=1, seed=0)
    assert len(list(folder.glob("videos/*"))) == 150
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="new or empty folder"):
        write_world(Digits(), tmp_path / "file", num_videos=1, seed=0)
    (tmp_path / "empty").mkdir()
    write_world(Digits(), tmp_path / "empty", num_videos=1, seed=0)
    assert is_world(tmp_path / "empty")


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(UsageError, match=r"even sides, got 47x47\. Set canvas to an even number"):
        write_world(Digits(canvas=47), tmp_path / "out", num_videos=2, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_world_is_refused(folder, tmp_path):
    assert is_world(folder)
    assert not is_world(tmp_path)
    assert not is_world(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"a folder with world.yaml and truth.parquet, got"):
        load_world(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_path": "os.system"}, "expected a world of videossl.worlds as class_path, got 'os.system'"),
        ({"class_path": "videossl.worlds.World"}, "expected a world of videossl.worlds"),
        ({"class_path": "videossl.worlds.load_world"}, "expected a world of videossl.worlds"),
        ({"init_args": {"colour": "red"}}, "unexpected keyword argument 'colour'"),
        ({"num_videos": 3}, "holds 2 videos, world.yaml says 3"),
    ],
)
def test_a_damaged_world_is_refused_in_one_line(changes, message, tmp_path):
    write_world(Digits(), tmp_path / "out", num_videos=2, seed=0)
    path = tmp_path / "out" / "world.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    with pytest.raises(UsageError, match=message) as caught:
        load_world(tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_broken_files_of_a_world_are_refused_in_one_line(tmp_path):
    out = tmp_path / "out"
    write_world(Digits(), out, num_videos=2, seed=0)
    table = pd.read_parquet(out / "truth.parquet")
    table.drop(columns="kick").to_parquet(out / "truth.parquet")
    with pytest.raises(UsageError, match="needs a column 'kick'"):
        load_world(out)
    table.assign(kick=[[[0.0]], [[0.0]]]).to_parquet(out / "truth.parquet")
    with pytest.raises(UsageError, match=r"damaged: expected kick of shape \(2, 1, 2\)"):
        load_world(out)
    (out / "truth.parquet").write_text("no table")
    with pytest.raises(UsageError, match="no Parquet file"):
        load_world(out)
    (out / "world.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="no YAML"):
        load_world(out)


def test_a_world_of_someone_else_is_not_written(tmp_path):
    class Other(Digits):
        pass

    with pytest.raises(UsageError, match=r"only worlds of videossl\.worlds can be written, got .*Other"):
        write_world(Other(), tmp_path / "out", num_videos=1, seed=0)


def test_a_truth_of_unequal_rows_is_refused():
    truth = Digits().truth(3, seed=0)
    with pytest.raises(ValueError, match=r"expected kick of shape \(3, 1, 2\)"):
        Truth(**{**vars(truth), "kick": truth.kick[:2]})
    assert issubclass(Digits, World)


def test_worlds_are_imported_without_a_decoder():
    heavy = {"av", "decord", "lightning", "matplotlib", "pandas", "sklearn"}
    code = f"import sys, videossl.worlds; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_folders_may_be_given_as_text(folder, tmp_path):
    assert is_world(str(folder))
    assert len(load_world(str(folder))[1]) == 150
    write_world(Digits(), str(tmp_path / "made"), num_videos=1, seed=0)
    copy_world(str(tmp_path / "made"), str(tmp_path))
    assert is_world(tmp_path)
