"""LeRobot data sets of version 3: many episodes in one mp4, told apart by time.

Format: https://huggingface.co/docs/lerobot/lerobot-dataset-v3. `meta/info.json` names the cameras and the pattern of
the paths; each row of `meta/episodes/**/*.parquet` is an episode and says, for every camera, in which file it lies and
from which second to which.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from videossl.data.media import Media
from videossl.data.places import LocalPlace, Place
from videossl.data.sources.base import Source
from videossl.errors import UsageError

logger = logging.getLogger(__name__)
INFO = "meta/info.json"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FIELDS = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def is_lerobot(root: Place) -> bool:
    """Whether a folder is a LeRobot data set."""
    return root.at(INFO).kind() == "file"


def in_lerobot(root: Place, cameras: Sequence[str] | None) -> list[Source]:
    """The videos of a data set: one for each camera of each episode.

    A video is named episode_000012/camera, and the cameras of an episode are one group. Its label is the task of the
    episode (several are joined by "; "). Its file is opened at [from_timestamp, to_timestamp), see `StretchReader`, and
    is promised to have `length` frames there.

    Args:
        root: Its folder.
        cameras: Which of its cameras; None for all but depth maps.

    Raises:
        UsageError: It is of another version, has no videos or not these cameras, or its tables cannot be read.
    """
    info = _info(root)
    chosen = _cameras(root, info, cameras)
    pattern = info.get("video_path") or VIDEO_PATH
    files = {file.address: file.error for file in root.at("videos").files()} if isinstance(root, LocalPlace) else None
    episodes = sorted(_episodes(root, chosen), key=lambda row: int(row["episode_index"]))
    sources = [_video(root, episode, camera, pattern, files) for episode in episodes for camera in chosen]
    if not sources:
        raise UsageError(f"the LeRobot data set {root.address} has no episodes.")
    return sources


def _info(root: Place) -> dict[str, Any]:
    try:
        with root.at(INFO).open() as file:
            info = json.loads(file.read())
        version = str(info["codebase_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{root.address}/{INFO} is not that of a LeRobot data set: {error}.") from error
    if not version.startswith("v3"):
        raise UsageError(
            f"the LeRobot data set {root.address} is of version {version}; version 3 is read. Convert it with lerobot, "
            f"or give its folder {root.address}/videos, where every episode is a file."
        )
    return dict(info)


def _cameras(root: Place, info: Mapping[str, Any], asked: Sequence[str] | None) -> list[str]:
    features = {key: value for key, value in info.get("features", {}).items() if value.get("dtype") == "video"}
    if not features:
        raise UsageError(
            f"the LeRobot data set {root.address} has no videos: its pictures lie in Parquet files, which are not read."
        )
    if asked is not None:
        for camera in asked:
            if camera not in features:
                raise UsageError(
                    f"the LeRobot data set {root.address} has no camera {camera}; it has {', '.join(features)}."
                )
        return list(asked)
    depth = [key for key, value in features.items() if _is_depth(value)]
    if depth:
        logger.warning("%s: depth maps are left out: %s. Name them in cameras to use them.", root.address, depth)
    return [key for key in features if key not in depth]


def _is_depth(feature: Mapping[str, Any]) -> bool:
    facts = {**(feature.get("video_info") or {}), **(feature.get("info") or {})}
    return bool(facts.get("is_depth_map") or facts.get("video.is_depth_map"))


def _episodes(root: Place, cameras: Sequence[str]) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {"episode_index", "tasks", "length"} | {f"videos/{camera}/{name}" for camera in cameras for name in FIELDS}
    rows: list[dict[str, Any]] = []
    folder = root.at("meta/episodes")
    tables = [file.address for file in folder.files() if file.relative.suffix == ".parquet"] if folder.kind() else []
    for address in tables:
        try:
            with root.at(address).open() as opened:
                file = pq.ParquetFile(opened)
                # The files have hundreds of columns of statistics beside these.
                columns = [name for name in file.schema_arrow.names if name in wanted]
                if "episode_index" not in columns:
                    raise UsageError(f"{address} has no column episode_index: it is no table of LeRobot episodes.")
                rows += file.read(columns=columns).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{address} is not a Parquet table: {' '.join(str(error).split())}") from error
    return rows


def _video(
    root: Place, episode: Mapping[str, Any], camera: str, pattern: str, files: Mapping[str, str | None] | None
) -> Source:
    group = f"episode_{int(episode['episode_index']):06d}"
    name = f"{group}/{camera}"
    label = _task(episode.get("tasks"))
    chunk, file, start, end = (episode.get(f"videos/{camera}/{field}") for field in FIELDS)
    if chunk is None or file is None or start is None or end is None or not 0 <= start < end:
        error = f"has no stretch of a video: file {file} of chunk {chunk}, {start} s to {end} s."
        return Source(Media(root.address), name, label, group=group, error=error)
    try:
        relative = PurePosixPath(pattern.format(video_key=camera, chunk_index=int(chunk), file_index=int(file)))
    except (KeyError, ValueError, IndexError) as error:
        raise UsageError(f"{root.address}/{INFO} has a video_path that cannot be filled in: {pattern}.") from error
    if relative.is_absolute() or ".." in relative.parts:
        raise UsageError(f"{root.address}/{INFO} has a video_path that leads out of the data set: {pattern}.")
    media = Media(root.at(str(relative)).address, start_seconds=float(start), end_seconds=float(end))
    error_of_file = None if files is None else files.get(media.path, "there is no such file in the data set.")
    length = episode.get("length")
    return Source(
        media, name, label, group=group, num_frames=None if length is None else int(length), error=error_of_file
    )


def _task(tasks: Any) -> str | None:
    if tasks is None:
        return None
    return "; ".join([tasks] if isinstance(tasks, str) else [str(task) for task in tasks]) or None
