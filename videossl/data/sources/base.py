"""A video before anybody looked into it, and how a user names a set of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videossl.data.media import Media
from videossl.errors import UsageError

SUFFIXES = frozenset({".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"})
IMAGE_SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})
DEFAULT_FRAMES_PER_SECOND = 25.0


@dataclass(frozen=True)
class Source:
    """A video before anybody looked into it.

    Attributes:
        media: Where it lies.
        name: Stable id, unique among the videos found together: the path relative to the folder (or to the folder of
            the list), with forward slashes; for others see the form of the source.
        label: Class of the video, None if it has none.
        weight: Expected number of times that it is drawn in an epoch of as many samples as there are videos. 1 for all
            unless sets are mixed or a table has weights; 0 where there is an error.
        group: Videos of a group are to be held out together, because they show the same thing: cameras of an episode,
            stretches of a file.
        num_frames: Frames that its source promises, None if it promises nothing.
        error: Why it must not be opened (a link out of the folder, a fifo, a missing file), in one line without its
            name; None if it may.
    """

    media: Media
    name: str
    label: str | None = None
    weight: float = 1.0
    group: str = ""
    num_frames: int | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.name)

    @property
    def path(self) -> Path:
        """The file or folder, of which it may be a part."""
        return Path(self.media.path)


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of videos; all but `path` may be missing in it.

    Attributes:
        path: Path of the file or frame folder, relative to the folder of the table, or a URL.
        label: Class.
        start_seconds: First instant of the stretch of the file that is meant.
        end_seconds: Its last instant, not included.
        name: Unique name of the video.
        weight: How often it is drawn, relative to the others of the table.
    """

    path: str = "path"
    label: str = "label"
    start_seconds: str = "start_seconds"
    end_seconds: str = "end_seconds"
    name: str = "name"
    weight: str = "weight"


@dataclass(frozen=True)
class VideoSet:
    """A set of videos, and what has to be known to find them.

    Attributes:
        videos: Folder, file, list, table, tar shards or URL, see `find_videos`.
        weight: Share of the samples that come from this set, relative to the other sets.
        name: Goes before the names of its videos where two sets have videos of equal names. Default: `videos`.
        columns: Columns of a table.
        frames_per_second: Of frame folders; 25 if it is not given.
        images: Of a folder of pictures: each of them is a video of one frame, not a frame of its folder.
        cameras: Cameras of a LeRobot data set that are used, for example `observation.images.top`. Default: all but
            depth maps.
    """

    videos: str
    weight: float = 1.0
    name: str | None = None
    columns: Columns = field(default_factory=Columns)
    frames_per_second: float | None = None
    cameras: list[str] | None = None
    images: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise UsageError(f"expected a weight above 0 for the videos {self.videos}, got {self.weight}.")
        if self.frames_per_second is not None and not 0 < self.frames_per_second < float("inf"):
            raise UsageError(
                f"expected frames_per_second above 0 for the videos {self.videos}, got {self.frames_per_second}."
            )


def has_suffix(path: str, suffixes: frozenset[str]) -> bool:
    """Whether a path or URL ends in one of these, in any case."""
    return Path(path).suffix.lower() in suffixes


def escaped(text: str) -> str:
    """Text without bytes that are not UTF-8: file names may have them, and Python keeps them as surrogates."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def check_names(sources: Sequence[Source], where: str) -> None:
    """Refuse videos that have the same name.

    Raises:
        UsageError: They do.
    """
    name, times = Counter(source.name for source in sources).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{where} names {name} {times} times; expected every video once.")
