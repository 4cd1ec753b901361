import subprocess
import sys

import pytest
from command_line import REPOSITORY, videossl


@pytest.mark.parametrize("is_stored", [False, True])
def test_the_example_scores_a_model_that_is_not_ours(tmp_path, is_stored):
    world = ("world", "digits", "--config=configs/world/quickstart.yaml", "--num_videos=150", f"--out={tmp_path / 'w'}")
    made = videossl(*world)
    assert made.returncode == 0, made.stderr
    videos = tmp_path / "w"
    if is_stored:
        stored = videossl("cache", f"--videos={videos}", f"--out={tmp_path / 's'}", "--frame_size=48")
        assert stored.returncode == 0, stored.stderr
        videos = tmp_path / "s"
    few = ("--num_steps=2", "--num_probe_clips=200")
    result = subprocess.run(
        [sys.executable, "scripts/examples/score_another_model.py", f"--videos={videos}", *few],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "samples of this model" in result.stdout
    assert "noise tuned for coverage" in result.stdout
