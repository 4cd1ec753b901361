"""A world on disk: ordinary video files, the truth about them, and how to make the world again.

OUT/videos/000000.mp4 ...
OUT/truth.parquet     one row a video; column `video` is its path relative to OUT
OUT/world.yaml        class_path and init_args of the world, num_videos, seed, frames_per_second
OUT/sources/          copies of the files that the world was given, if any
"""

import importlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from torch import Tensor

from videossl.errors import UsageError, WorkError
from videossl.files import replacing
from videossl.progress import progress
from videossl.worlds.base import World
from videossl.worlds.truth import Truth
from videossl.worlds.video_file import write_video

PACKAGE = "videossl.worlds"
WORLD_FILE, TRUTH_FILE, SOURCES = "world.yaml", "truth.parquet", "sources"
VIDEOS_AT_ONCE = 128
KEYS = ("class_path", "init_args", "num_videos", "seed", "frames_per_second")


def write_world(world: World, out: Path | str, *, num_videos: int, seed: int, frames_per_second: int = 8) -> None:
    """Draw `num_videos` videos of a world and write them with their truth. `out` appears when all is complete.

    Args:
        world: A world of `videossl.worlds`.
        out: A folder that does not exist or is empty.
        num_videos: At least 1.
        seed: Not negative; the same seed gives the same videos.
        frames_per_second: Frame rate of the files.

    Raises:
        UsageError: `out` is not empty, or the arguments cannot make video files.
        WorkError: The disk refused.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"a world needs a new or empty folder, got {out}, which is not. Delete it or name another.")
    class_path = f"{PACKAGE}.{type(world).__name__}"
    if _world_class(class_path) is not type(world):
        raise UsageError(f"only worlds of {PACKAGE} can be written, got {type(world).__qualname__}.")
    truth = world.truth(num_videos, seed)
    names = [f"videos/{number:06d}.mp4" for number in range(num_videos)]
    try:
        with _appearing(out) as unfinished:
            clips = progress(_clips(world, truth), total=num_videos, description="rendering", unit="video")
            for name, clip in zip(names, clips, strict=True):
                write_video(unfinished / name, clip, frames_per_second=frames_per_second)
            table = truth.table()
            table["video"] = names
            table.to_parquet(unfinished / TRUTH_FILE, index=False)
            content = {
                "class_path": class_path,
                "init_args": _with_copied_files(world, unfinished),
                "num_videos": num_videos,
                "seed": seed,
                "frames_per_second": frames_per_second,
            }
            (unfinished / WORLD_FILE).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise WorkError(f"the world could not be written to {out}: {error}") from error


def is_world(folder: Path | str) -> bool:
    """Whether `write_world` made this folder."""
    folder = Path(folder)
    return (folder / WORLD_FILE).is_file() and (folder / TRUTH_FILE).is_file()


def copy_world(folder: Path | str, out: Path | str) -> None:
    """What a world's folder says of its videos, beside the same videos in another form."""
    folder, out = Path(folder), Path(out)
    for name in (TRUTH_FILE, WORLD_FILE):
        with replacing(out / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    if (folder / SOURCES).is_dir():
        shutil.copytree(folder / SOURCES, out / SOURCES, dirs_exist_ok=True)


def load_world(folder: Path | str) -> tuple[World, Truth]:
    """The world that was written to `folder`, and the truth of its videos, `truth.video` naming the files.

    Only classes of `videossl.worlds` are made, so a folder from elsewhere runs no code of its own.

    Raises:
        UsageError: The folder is no world, or has been damaged.
    """
    import pandas as pd

    folder = Path(folder)
    if not is_world(folder):
        raise UsageError(
            f"a world is a folder with {WORLD_FILE} and {TRUTH_FILE}, got {folder}. Make one with `videossl world`."
        )
    damaged = f"{folder / WORLD_FILE} is damaged"
    try:
        content = yaml.safe_load((folder / WORLD_FILE).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{damaged}: it is no YAML. Make the world anew with `videossl world`.") from error
    if not isinstance(content, dict) or any(key not in content for key in KEYS):
        raise UsageError(f"{damaged}: expected keys {', '.join(KEYS)}. Make the world anew with `videossl world`.")
    made = _world_class(str(content["class_path"]))
    if made is None:
        raise UsageError(f"{damaged}: expected a world of {PACKAGE} as class_path, got {content['class_path']!r}.")
    arguments = dict(content["init_args"])
    for name in made.path_arguments:
        if arguments.get(name) is not None:
            arguments[name] = folder / arguments[name]
    try:
        world = made(**arguments)
    except TypeError as error:
        raise UsageError(f"{damaged}: {error}. Make the world anew with `videossl world`.") from error
    try:
        table = pd.read_parquet(folder / TRUTH_FILE)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise UsageError(f"{folder / TRUTH_FILE} is no Parquet file. Make the world anew.") from error
    truth = Truth.from_table(table)
    if len(truth) != content["num_videos"]:
        raise UsageError(
            f"{folder / TRUTH_FILE} holds {len(truth)} videos, {WORLD_FILE} says {content['num_videos']}. "
            "Make the world anew with `videossl world`."
        )
    return world, truth


def _clips(world: World, truth: Truth) -> Iterator[Tensor]:
    """Each video (T, 3, H, W) in turn, rendered in blocks so that memory stays bounded."""
    for start in range(0, len(truth), VIDEOS_AT_ONCE):
        yield from world.render(truth[start : start + VIDEOS_AT_ONCE])


def _world_class(class_path: str) -> type[World] | None:
    """The world that `class_path` names, None if it is not one of this package's public worlds."""
    package, _, name = class_path.rpartition(".")
    public = importlib.import_module(PACKAGE)
    found = getattr(public, name, None) if package == PACKAGE and name in public.__all__ else None
    is_made = isinstance(found, type) and issubclass(found, World) and found is not World
    return found if is_made else None


def _with_copied_files(world: World, folder: Path) -> dict[str, object]:
    """The world's arguments; the files they name are copied, so that the folder can be moved to another machine."""
    arguments = world.init_args()
    for name in world.path_arguments:
        given = arguments[name]
        if given is not None:
            source = Path(str(given))
            copied = Path(SOURCES, f"{name}-{source.name}")
            (folder / SOURCES).mkdir(exist_ok=True)
            shutil.copyfile(source, folder / copied)
            arguments[name] = copied.as_posix()
    return arguments


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` when the block ends without error, and vanishes otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".unfinished-{folder.name}-"))
    try:
        yield unfinished
        unfinished.chmod(0o755)  # mkdtemp makes it private to its user
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
