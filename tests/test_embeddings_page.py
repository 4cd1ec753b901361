"""The recipes of docs/embeddings.md run as they are written there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import REPOSITORY, videossl

PAGE = (REPOSITORY / "docs/embeddings.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", PAGE, re.DOTALL)
# What the fixtures have made already, smaller; and the videos of a report, of which there are many.
MADE = (
    "world digits",
    "pretrain",
    "extract --run runs/small --videos data/small",
    "extract --run runs/small --videos data/fresh",
)
RECIPES = ["duckdb", "torch.utils.data", "videossl search", "videossl probe", "lancedb"]


@pytest.fixture(scope="module")
def folder(small_run, small_world, tmp_path_factory):
    """A folder in which `runs/small`, `data/small` and `embeddings/small` are those of the page, only smaller."""
    folder = tmp_path_factory.mktemp("page")
    for name, target in {"runs": small_run, "data": small_world}.items():
        (folder / name).mkdir()
        (folder / name / "small").symlink_to(target)
    (folder / "data" / "fresh").symlink_to(small_world)
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    for name, level in (("small", "frame"), ("fresh", "clip")):
        out = f"embeddings/{name}"
        done = videossl(
            "extract", "--run", "runs/small", "--videos", "data/small", "--out", out, "--level", level, cwd=folder
        )
        assert done.returncode == 0, done.stderr
    return folder


def run(language: str, program: str, folder: Path) -> str:
    command = [sys.executable, "-c", program] if language == "python" else ["bash", "-euo", "pipefail", "-c", program]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_its_five_recipes():
    for words in RECIPES:
        assert any(words in block for _, block in BLOCKS), words


def test_every_block_runs_as_it_stands_there(folder):
    said = {}
    for language, block in BLOCKS:
        lines = [line for line in block.splitlines() if not line.startswith(tuple(f"videossl {made}" for made in MADE))]
        if any(line.strip() for line in lines):
            said[block] = run(language, "\n".join(lines), folder)
    assert all(said.values())
    for name in (
        "seven/contact.html",
        "seven/contact.png",
        "seven/hits.csv",
        "events.csv",
        "duplicates.csv",
        "probe.json",
    ):
        assert (folder / "found" / name).stat().st_size > 0
    (sql,) = [found for block, found in said.items() if "duckdb.sql" in block]
    assert "stays_alike" in sql
    (lance,) = [found for block, found in said.items() if "lancedb.connect" in block]
    assert "'video': 'videos/000012.mp4'" in lance.split("}")[0]


def test_the_readme_leads_to_the_page():
    assert "docs/embeddings.md" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
