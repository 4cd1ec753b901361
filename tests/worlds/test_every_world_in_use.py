"""Every world is written and read, and refuses what is not its own."""

import subprocess
import sys

import pytest
import torch
from known_worlds import every_world

from videossl.errors import UsageError
from videossl.worlds import Digits, load_world, write_world


@every_world
def test_a_world_on_disk_comes_back(world, tmp_path):
    write_world(world, tmp_path / "world", num_videos=3, seed=4)
    again, truth = load_world(tmp_path / "world")
    assert again.init_args() == world.init_args()
    expected = world.sample(3, seed=4)
    assert torch.equal(again.render(truth), expected.clips)
    for ours, theirs in zip(again.branches(truth), world.branches(expected.truth), strict=True):
        assert torch.equal(ours, theirs)
    assert len(list((tmp_path / "world/videos").glob("*.mp4"))) == 3


@every_world
def test_a_horizon_beyond_the_video_is_refused_in_one_line(world):
    truth = world.truth(1, seed=0)
    most = world.num_frames - world.branch_frame
    for futures in (world.branches, world.decoys):
        for frames in (0, most + 1):
            with pytest.raises(UsageError, match=f"have {most} frames, got horizon_frames={frames}"):
                futures(truth, frames)


@every_world
def test_a_foreign_truth_is_refused_in_one_line(world):
    foreign = Digits(num_frames=30).truth(2, seed=0)
    for use in (world.render, world.branches, world.decoys):
        with pytest.raises(UsageError, match=r"frames and .* object"):
            use(foreign)


def test_billiards_say_what_to_install_where_the_library_is_missing():
    code = (
        "import sys; sys.modules['pymunk'] = None\n"
        "from videossl.worlds import Billiards, Maze\n"
        "Maze()\n"
        "try: Billiards()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UsageError billiards needs pymunk")
    assert "pip install" in done.stdout
