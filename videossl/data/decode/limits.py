"""What is refused before it is decoded, because memory would not hold it."""

import re
from pathlib import Path

from videossl.data.decode.base import VideoError
from videossl.data.media import Media

# 8K video has 33 million pixels. A file of a few hundred bytes can declare 30000 x 30000: 2.7 GB for every frame.
MOST_PIXELS = 64_000_000
# For FFmpeg's decoders: it decodes a first picture when a file is opened, before anybody can look at its size.
FFMPEG_OPTIONS = {"max_pixels": str(MOST_PIXELS)}
REFUSED_SIZE = re.compile(r"Picture size (\d+)x(\d+)")


def check_pixels(video: Path | Media, width: int, height: int) -> None:
    """Refuse pictures that are declared larger than any video is.

    Raises:
        VideoError: More than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise VideoError(
            video,
            f"declares pictures of {width} x {height} pixels; at most {MOST_PIXELS // 1_000_000} million are decoded.",
        )


def refused_size(file: str, options: dict[str, str]) -> tuple[int, int] | None:
    """Width and height for which FFmpeg refuses a file; None if that is not what it complains of.

    FFmpeg forgets the size that it refuses and tells it to its log alone. This turns the log on for a moment, for the
    whole process, so ask it only of files that were opened without a size.

    Args:
        file: What FFmpeg opens.
        options: With which it does.
    """
    import av

    level = av.logging.get_level()
    skips = av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as lines, av.open(file, "r", options=options, metadata_errors="replace"):
            pass
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)
    found = next((match for _, _, text in lines if (match := REFUSED_SIZE.search(text))), None)
    return None if found is None else (int(found[1]), int(found[2]))
