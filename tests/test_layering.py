"""Imports go one way: the doors between the rooms of the package, held by reading every import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "videossl"
FOUNDATION = {"data", "worlds", "transition", "models", "objectives", "probing"}
ROOMS = FOUNDATION | {"training", "evaluation", "extraction", "report", "tables", "search"}
# Modules of the package that a room may import besides its own. Rooms that are not here stand above all doors.
SHARED = {"types", "errors", "files", "progress", "path_ends", "wording"}
MAY_IMPORT = {
    "data": SHARED,
    "worlds": SHARED,
    "transition": {"errors"},
    "models": SHARED | {"transition"},
    "objectives": {"errors", "transition"},
    "export": {"loading", "models"} | SHARED,
    "loading": {"data", "models", "run_directory"} | SHARED,
    "probing": {"errors", "progress"},
    "evaluation": FOUNDATION | SHARED | {"run_directory", "loading"},
    "extraction": FOUNDATION - {"probing"} | SHARED | {"run_directory", "loading"},
    "tables": {"probing", "worlds", "run_directory"} | SHARED,
    "search": {"tables", "data", "extraction", "run_directory", "loading"} | SHARED,
    "report": SHARED | {"run_directory"},
    "training": FOUNDATION | {"evaluation"} | SHARED | {"run_directory", "loading"},
}
# What rooms of pure mathematics may import from outside the package, besides the standard library.
MAY_IMPORT_FROM_OUTSIDE = {
    "transition": {"torch"},
    "objectives": {"torch"},
    "models": {"torch", "einops"},
    "probing": {"torch", "sklearn"},
}
# One adapter each, which the room's other files know by what it gives.
BUT_ALSO = {"models/transformers_files.py": {"transformers"}}
# Heavy or fragile libraries -> the files and folders that may import them at all.
CONFINED = {
    "lightning": ["training", "cli"],
    "pytorch_lightning": [],
    "av": ["data/decode", "worlds/video_file.py"],
    "decord": ["data/decode"],
    "torchcodec": ["data/decode"],
    "matplotlib": ["report"],
    "pymunk": ["worlds/billiard_table.py"],
    "onnxruntime": ["export/formats.py"],
    "transformers": ["models/transformers_files.py"],
}
# ... and those that may import them at the top of a module.
CONFINED_AT_THE_TOP = {
    "lightning": ["training"],
    "decord": [],
    "torchcodec": [],
    "pymunk": [],
    "onnxruntime": [],
    "transformers": [],
    "sklearn": ["worlds", "evaluation"],
}
# What importing these must not bring. The command line needs the tables of the data, but no more for `--help`.
HEAVY = {
    "lightning",
    "decord",
    "torchcodec",
    "matplotlib",
    "tensorboard",
    "av",
    "sklearn",
    "pandas",
    "pyarrow",
    "pymunk",
    "transformers",
    "huggingface_hub",
}
LIGHT = {
    "videossl": HEAVY,
    "videossl.models": HEAVY,
    "videossl.objectives": HEAVY | {"einops", "torchmetrics", "safetensors", "jsonargparse"},
    "videossl.cli": {"lightning", "decord", "torchcodec", "matplotlib", "tensorboard"},
}


def imports(source: str, module: str) -> tuple[set[str], set[str]]:
    """Dotted names that a module imports: (anywhere, at the top, which runs when the module is imported).

    Relative imports are resolved, `from a import b` counts as both `a` and `a.b`, and `importlib.import_module("a")`
    is an import too. Imports under `if TYPE_CHECKING:` are doors like any other, but do not run.
    """
    tree = ast.parse(source)
    found = {node: _names(node, module) for node in ast.walk(tree)}
    waiting: list[ast.AST] = [tree]
    at_the_top: set[str] = set()
    while waiting:
        node = waiting.pop()
        at_the_top |= found[node]
        waiting += [child for child in ast.iter_child_nodes(node) if not _runs_later(child)]
    return set().union(*found.values()), at_the_top


def _names(node: ast.AST, module: str) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
        return {base} | {f"{base}.{alias.name}" for alias in node.names}
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = ast.unparse(node.func)
        if called in {"__import__", "import_module", "importlib.import_module"}:
            return {str(node.args[0].value)}
    return set()


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def closed_doors(path: str, source: str) -> list[str]:
    """What is wrong with the imports of one file; `path` is relative to the package, for example `data/clips.py`."""
    module = "videossl." + path.removesuffix(".py").replace("/", ".")
    anywhere, at_the_top = imports(source, module)
    room = path.split("/")[0]
    inside = {name.split(".")[1] for name in anywhere if name.startswith("videossl.")}
    outside = {name.split(".")[0] for name in anywhere} - {"videossl", "__future__"} - sys.stdlib_module_names
    top_level = {name.split(".")[0] for name in at_the_top}
    wrong = []
    if "cli" in inside and room != "cli":
        wrong.append(f"{path} imports videossl.cli: nothing does")
    if room in MAY_IMPORT:
        known = {file.stem for file in PACKAGE.glob("*")}  # `from videossl import __version__` is no module
        wrong += [f"{path} imports videossl.{name}" for name in inside & known - MAY_IMPORT[room] - {room, "cli"}]
    if room in MAY_IMPORT_FROM_OUTSIDE:
        allowed = MAY_IMPORT_FROM_OUTSIDE[room] | BUT_ALSO.get(path, set())
        wrong += [f"{path} imports {name}" for name in outside - allowed]
    for names, rules, where in (
        (outside, CONFINED, "outside of its place"),
        (top_level, CONFINED_AT_THE_TOP, "at the top of the module"),
    ):
        for name in names & rules.keys():
            if not any(path == place or path.startswith(f"{place}/") for place in rules[name]):
                wrong.append(f"{path} imports {name} {where}: only {' and '.join(rules[name]) or 'functions'} may")
    return wrong


def test_every_import_goes_through_an_open_door() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert files
    wrong = [line for file in files for line in closed_doors(file.relative_to(PACKAGE).as_posix(), file.read_text())]
    assert not wrong, "\n".join(wrong)


def test_every_folder_of_the_package_has_its_doors_in_this_file() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"cli"}
    assert folders <= MAY_IMPORT.keys(), "say in MAY_IMPORT what the new room may import"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("data/clips.py", "import videossl.models"),
        ("data/clips.py", "from videossl import worlds"),
        ("data/decode/pyav.py", "from ...models import WorldModel"),
        ("data/clips.py", "def f():\n    from videossl.training import pretrain"),
        ("models/heads.py", "from videossl.types import Embeddings\nimport numpy"),
        ("models/heads.py", "if TYPE_CHECKING:\n    from videossl.objectives import Loss"),
        ("models/heads.py", "def f():\n    import transformers"),
        ("models/transformers_files.py", "import transformers"),
        ("models/transformers_files.py", "def f():\n    import numpy"),
        ("objectives/base.py", "from einops import rearrange"),
        ("objectives/base.py", "from videossl.types import Embeddings"),
        ("transition/gaussian.py", "from videossl.models import WorldModel"),
        ("transition/gaussian.py", "from videossl.objectives import Loss"),
        ("transition/gaussian.py", "import numpy"),
        ("worlds/digits.py", "import importlib\nimportlib.import_module('videossl.data.index')"),
        ("evaluation/run.py", "from videossl.training import pretraining"),
        ("extraction/extract.py", "from videossl.training.optimizer import weight_decay_groups"),
        ("report/page.py", "from videossl.models import WorldModel"),
        ("loading/load.py", "from videossl.cli import main"),
        ("loading/hub.py", "from videossl.training import pretrain"),
        ("training/pretraining.py", "from videossl.cli import main"),
        ("evaluation/run.py", "import lightning"),
        ("cli/pretraining.py", "import lightning.pytorch as pl"),
        ("evaluation/held_out.py", "def f():\n    import av"),
        ("worlds/folder.py", "import av"),
        ("data/decode/decord.py", "import decord"),
        ("evaluation/gallery.py", "def f():\n    import matplotlib.pyplot"),
        ("data/index.py", "from sklearn.linear_model import Ridge"),
        ("probing/linear.py", "from sklearn.linear_model import Ridge"),
        ("probing/linear.py", "def f():\n    import pandas"),
        ("tables/table.py", "from videossl.data import VideoIndex"),
        ("tables/probe_command.py", "from videossl.loading import load"),
        ("search/query.py", "from videossl.training import pretrain"),
        ("evaluation/run.py", "from videossl.tables import EmbeddingTable"),
    ],
)
def test_an_import_through_a_closed_door_is_seen(path: str, source: str) -> None:
    assert closed_doors(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("data/decode/pyav.py", "import av\nfrom .base import VideoReader\nfrom videossl.errors import WorkError"),
        ("data/decode/decord.py", "class A:\n    def open(self):\n        import decord"),
        ("worlds/video_file.py", "import av"),
        ("models/heads.py", "from videossl.transition.networks import mlp"),
        ("models/transformers_files.py", "def f():\n    from transformers.utils import cached_file"),
        ("objectives/adassl.py", "from videossl.transition import GaussianLatent"),
        ("cli/pretraining.py", "def pretrain():\n    import lightning\n    from videossl.training import pretrain"),
        ("extraction/extract.py", "from videossl import __version__\nfrom videossl.data.index import VideoIndex"),
        ("report/page.py", "import matplotlib.pyplot as plt\nfrom videossl.run_directory import RunDirectory"),
        ("data/index.py", "def f():\n    from sklearn.linear_model import Ridge"),
    ],
)
def test_an_import_through_an_open_door_is_left_alone(path: str, source: str) -> None:
    assert not closed_doors(path, source)


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("imported", LIGHT)
def test_importing_it_brings_nothing_heavy(imported: str) -> None:
    code = f"import {imported}, sys; print(*sorted({LIGHT[imported]!r} & sys.modules.keys()))"
    assert run_python(code).split() == []


def test_importing_the_objectives_brings_torch_and_the_standard_library_only() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import videossl.objectives;"
        "print(*sorted(sys.modules.keys() - before))"
    )
    brought = run_python(code).split()
    outside = {name.split(".")[0] for name in brought} - {"videossl", "torch"} - sys.stdlib_module_names
    inside = {name.split(".")[1] for name in brought if name.startswith("videossl.")}
    assert outside == set()
    assert inside == {"errors", "objectives", "transition"}


def test_importing_videossl_takes_under_two_seconds_after_torch() -> None:
    code = "import time, torch; start = time.perf_counter(); import videossl; print(time.perf_counter() - start)"
    assert float(run_python(code)) < 2
