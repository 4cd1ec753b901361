"""What a user says about data: the schema of the section `data` of a config."""

from dataclasses import dataclass, field

from videossl.data.clips import ClipPlanner
from videossl.data.dataset import VideoViews
from videossl.data.decode.base import VideoReader
from videossl.data.decode.pyav import PyAVReader
from videossl.data.index import VideoIndex
from videossl.data.sources import VideoSet
from videossl.errors import UsageError


@dataclass
class DataSettings:
    """Which videos, and how views are cut from them.

    Attributes:
        videos: Folder tree, file, list, table, tar shards, LeRobot data set, frame folders, store, index or URL; or
            several of them, with weights. See `videossl.data.find_videos`.
        clips: How many views of how many frames, and where in time.
        frame_size: Short side in pixels to which frames are resized while decoding; the middle square is kept.
        reader: Class that decodes.
        heldout_share: Share of the videos kept for evaluation, never trained on.
        max_unreadable_share: Training stops if more than this share of the videos cannot be read.
        cache_gib: Memory in GiB in which decoded short videos may be kept, per process.
        isolate: Decode in a process beside every loader process, so that a crash costs one video and not the training.
        deadline_seconds: A video of which no frames come within this time is given up; null: none is. Needs isolate.
    """

    videos: str | VideoSet | list[str | VideoSet]
    clips: ClipPlanner = field(default_factory=ClipPlanner)
    frame_size: int = 64
    reader: type[VideoReader] = PyAVReader
    heldout_share: float = 0.1
    max_unreadable_share: float = 0.1
    cache_gib: float = 1.0
    isolate: bool = True
    deadline_seconds: float | None = 10.0

    def __post_init__(self) -> None:
        for name in ("heldout_share", "max_unreadable_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"expected data.{name} from 0 to 1, got {value}.")

    def views(self, videos: VideoIndex, *, seed: int) -> VideoViews:
        """The data set of views of these videos."""
        return VideoViews(
            videos,
            planner=self.clips,
            reader=self.reader,
            frame_size=self.frame_size,
            seed=seed,
            cache_gib=self.cache_gib,
            isolate=self.isolate,
            deadline_seconds=self.deadline_seconds,
        )
