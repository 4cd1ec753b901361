"""The bytes of one video as FFmpeg opens them: a file, a piece of a file, or a file-like object over a network."""

import io
import os
from pathlib import Path
from typing import IO

from videossl.data.decode.base import VideoError
from videossl.data.media import Media
from videossl.data.places import RemotePlace, why_no_file


class Content:
    """Where the bytes of a video come from. FFmpeg itself opens files only: its network protocols are blocked.

    A member of a tar archive on this machine is read by FFmpeg's own `subfile` protocol, so no Python runs while it is
    read. A URL is opened by fsspec, which fetches the ranges that are read.

    Args:
        media: The video; a stretch is opened as the whole that it is part of.

    Attributes:
        num_bytes: Its length.
        identity: Absolute path or URL (with the place in the archive), modification time in ns (0 where unknown) and
            length: two videos with equal ones have the same bytes.
        protocols: FFmpeg protocols that `open` needs, for its option `protocol_whitelist`.

    Raises:
        VideoError: There is no such file, or nothing in it.
    """

    def __init__(self, media: Media) -> None:
        self.media = media
        self._file: Window | None = None
        if media.is_url:
            self._place = RemotePlace(media.path)
            self.protocols = "none"
            try:
                file_bytes, version = self._place.status()
            except OSError as error:
                raise VideoError(media, f"cannot be opened: {error}.") from error
            name, modified_ns = f"{media.path}#{version}", 0
        else:
            path = Path(media.path)
            problem = why_no_file(path)
            if problem is not None:
                raise VideoError(media, problem)
            if not os.access(path, os.R_OK):
                raise VideoError(media, "may not be read by this user: permission denied.")
            status = path.stat()
            self.protocols = "file" if media.num_bytes is None else "file,subfile"
            name, modified_ns, file_bytes = str(path.absolute()), status.st_mtime_ns, status.st_size
        self.num_bytes = file_bytes if media.num_bytes is None else media.num_bytes
        if self.num_bytes == 0:
            raise VideoError(media, "is empty (0 bytes).")
        if media.offset + self.num_bytes > file_bytes:
            raise VideoError(media, f"lies behind the end of its archive of {file_bytes} bytes: was it cut off?")
        self._name = name
        self.identity = (name if media.num_bytes is None else f"{name}@{media.offset}", modified_ns, self.num_bytes)

    def open(self) -> "str | Window":
        """What PyAV is to open; `close` when its container was closed.

        Raises:
            OSError: It cannot be opened.
        """
        self.close()
        begin, end = self.media.offset, self.media.offset + self.num_bytes
        if self.media.is_url:
            self._file = Window(self._place.open(), begin, self.num_bytes)
            return self._file
        if self.media.num_bytes is None:
            return self._name
        return f"subfile,,start,{begin},end,{end},,:{self._name}"

    def close(self) -> None:
        """Close the file-like object, if there is one. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Window(io.RawIOBase):
    """A piece of a file-like object, as a file of its own.

    Args:
        file: Can be sought in; closed with the window.
        offset: First byte.
        num_bytes: Length.
    """

    def __init__(self, file: IO[bytes], offset: int, num_bytes: int) -> None:
        super().__init__()
        self._file, self._offset, self._num_bytes, self._at = file, offset, num_bytes, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def read(self, num_bytes: int = -1) -> bytes:
        """The next bytes of the window, fewer at its end.

        Raises:
            OSError: They cannot be fetched.
        """
        left = max(0, self._num_bytes - self._at)
        wanted = left if num_bytes is None or num_bytes < 0 else min(num_bytes, left)
        if wanted == 0:
            return b""
        try:
            self._file.seek(self._offset + self._at)
            got = self._file.read(wanted)
        except Exception as error:  # network libraries raise their own; what reads videos expects an OSError
            raise OSError(" ".join(f"{type(error).__name__}: {error}".split())) from error
        self._at += len(got)
        return got

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte of the window."""
        self._at = max(0, offset + (0, self._at, self._num_bytes)[whence])
        return self._at

    def tell(self) -> int:
        """The byte that is read next."""
        return self._at

    def close(self) -> None:
        """Close the file too."""
        if not self.closed:
            self._file.close()
        super().close()
