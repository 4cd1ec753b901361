"""What the README shows runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_with_the_objectives_alone_says_what_the_readme_says(tmp_path: Path) -> None:
    (program,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "AdaSSL(" in block]
    assert program.count("\n") <= 60
    imported = set(re.findall(r"^(?:from|import) ([\w.]+)", program, re.MULTILINE))
    assert imported == {"torch", "videossl.objectives"}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    found = {name: int(share) for name, share in re.findall(r"^(with\w* r) finds (\d+)%", result.stdout, re.MULTILINE)}
    assert found["with r"] >= 90, result.stdout
    assert found["without r"] == 25, result.stdout


def test_the_example_in_python_goes_from_a_video_file_to_vectors(
    small_run: Path, small_world: Path, tmp_path: Path
) -> None:
    (program,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "videossl.load(" in block]
    for name, target in (("runs", small_run), ("data", small_world)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "small").symlink_to(target)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"torch\.Size\(\[1, ", result.stdout)) == 3
