import subprocess
import sys

from command_line import REPOSITORY, videossl


def test_the_example_scores_a_model_that_is_not_ours(tmp_path):
    world = ("world", "digits", "--config=configs/world/quickstart.yaml", "--num_videos=150", f"--out={tmp_path / 'w'}")
    made = videossl(*world)
    assert made.returncode == 0, made.stderr
    few = ("--num_steps=2", "--num_probe_clips=200")
    result = subprocess.run(
        [sys.executable, "scripts/examples/score_another_model.py", f"--videos={tmp_path / 'w'}", *few],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "samples of this model" in result.stdout
    assert "noise tuned for coverage" in result.stdout
