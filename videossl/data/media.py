"""Where the pictures of one video lie: a file, a piece of a file, a stretch of a longer video, a folder of frames."""

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Media:
    """The address of one video.

    Attributes:
        path: Absolute path of a file or of a folder of frames, or a URL ("s3://...", "hf://...") of one.
        offset: Byte at which the video begins in that file; above 0 for a member of a tar archive.
        num_bytes: Its length in bytes; None: to the end of the file.
        start_seconds: First instant, included, where the video is a stretch of a longer one; None: from its start.
        end_seconds: Last instant, not included; None: to its end. Both count from the first frame of the longer video.
        frames_per_second: Of a folder of frames; None for everything else.

    Raises:
        ValueError: A piece or a stretch that is none.
    """

    path: str
    offset: int = 0
    num_bytes: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    frames_per_second: float | None = None

    def __post_init__(self) -> None:
        if self.offset < 0 or (self.num_bytes is None and self.offset > 0) or (self.num_bytes or 0) < 0:
            raise ValueError(f"expected a piece of a file, got offset {self.offset} and num_bytes {self.num_bytes}")
        start, end = self.start_seconds or 0.0, self.end_seconds
        if start < 0 or (end is not None and end <= start):
            raise ValueError(f"expected 0 <= start_seconds < end_seconds, got {self.start_seconds} and {end}")
        if self.frames_per_second is not None and not 0 < self.frames_per_second < float("inf"):
            raise ValueError(f"expected frames_per_second above 0, got {self.frames_per_second}")

    @classmethod
    def of(cls, media: "Path | str | Media") -> "Media":
        """A whole file or folder by its path, or the address itself."""
        return media if isinstance(media, Media) else cls(str(media))

    @property
    def is_url(self) -> bool:
        """Whether it lies on another machine."""
        return "://" in self.path

    @property
    def is_whole_file(self) -> bool:
        """Whether it is all of a file, and not a piece or a stretch of one."""
        return self.offset == 0 and self.num_bytes is None and not self.is_stretch

    @property
    def is_frame_folder(self) -> bool:
        """Whether it is a folder of pictures."""
        return self.frames_per_second is not None

    @property
    def whole(self) -> "Media":
        """The longer video that this is a stretch of; itself if it is none."""
        return replace(self, start_seconds=None, end_seconds=None) if self.is_stretch else self

    @property
    def is_stretch(self) -> bool:
        """Whether it is a stretch in time of a longer video."""
        return self.start_seconds is not None or self.end_seconds is not None

    def __str__(self) -> str:
        where = self.path if self.num_bytes is None else f"{self.path} at byte {self.offset}"
        if not self.is_stretch:
            return where
        end = "its end" if self.end_seconds is None else f"{self.end_seconds:g} s"
        return f"{where} from {self.start_seconds or 0.0:g} s to {end}"
