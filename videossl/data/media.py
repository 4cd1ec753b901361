"""Where the pictures of one video lie: a file, a piece of a file, a stretch of a longer video, a folder of frames."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Media:
    """The address of one video.

    Attributes:
        path: Absolute path of a file or of a folder of frames, or a URL ("s3://...", "hf://...").
        offset: Byte at which the video begins in that file; above 0 for a member of a tar archive.
        num_bytes: Its length in bytes; None: to the end of the file.
        start_seconds: First instant, included, where the video is a stretch of a longer one; None: from its start.
        end_seconds: Last instant, not included; None: to its end.
    """

    path: str
    offset: int = 0
    num_bytes: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None

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
    def is_stretch(self) -> bool:
        """Whether it is a stretch in time of a longer video."""
        return self.start_seconds is not None or self.end_seconds is not None

    def __str__(self) -> str:
        where = self.path if self.num_bytes is None else f"{self.path} at byte {self.offset}"
        if not self.is_stretch:
            return where
        end = "its end" if self.end_seconds is None else f"{self.end_seconds:g} s"
        return f"{where} from {self.start_seconds or 0.0:g} s to {end}"
