"""Files and folders, on this machine or behind a URL (fsspec), with the same few questions to both."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Protocol

from videossl.errors import UsageError

Kind = Literal["file", "folder"]
KINDS = {
    stat.S_ISFIFO: "a fifo (named pipe)",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a folder tree.

    Attributes:
        relative: Its path in the tree.
        address: Its absolute path or URL.
        error: Why it must not be opened (a link out of the tree, a fifo, a device, a socket); None if it may.
        is_folder: Whether it is a link to a folder out of the tree: it stands for all that the folder holds.
    """

    relative: PurePosixPath
    address: str
    error: str | None = None
    is_folder: bool = False


class Place(Protocol):
    """A file or a folder."""

    address: str

    @property
    def name(self) -> str:
        """Last part of its path."""

    def kind(self) -> Kind | None:
        """What it is; None: neither a regular file nor a folder, or nothing."""

    @property
    def parent(self) -> "Place":
        """The folder in which it lies."""

    def at(self, path: str) -> "Place":
        """Another place by its path from here, by its absolute path, or by its URL."""

    def open(self) -> IO[bytes]:
        """The bytes of a file; it can be sought in."""

    def files(self) -> Iterator[Found]:
        """All files of a folder tree in the order of their names, without those whose names begin with a dot."""


def place_of(address: Path | str) -> Place:
    """The place with this path or URL.

    Raises:
        UsageError: A URL that nothing installed can read.
    """
    text = str(address)
    if text.startswith("file://"):
        return LocalPlace(Path(text.removeprefix("file://")))
    return RemotePlace(text) if "://" in text else LocalPlace(Path(text))


class LocalPlace:
    """A place on this machine.

    Args:
        path: Its path; made absolute, and without "..". Links are not resolved otherwise.
    """

    def __init__(self, path: Path) -> None:
        path = path.expanduser().absolute()
        if ".." in path.parts:  # what is behind a link is not above it: the folders must be looked up
            path = path.resolve() if path.name == ".." else path.parent.resolve() / path.name
        self.path = path
        self.address = str(self.path)

    @property
    def name(self) -> str:
        """Last part of its path."""
        return self.path.name or "videos"

    def kind(self) -> Kind | None:
        """What it is; None: neither a regular file nor a folder, or nothing."""
        try:
            mode = self.path.stat().st_mode
        except (OSError, ValueError):  # ValueError: a path with a zero byte
            return None
        return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else None

    @property
    def parent(self) -> Place:
        """The folder in which it lies."""
        return LocalPlace(self.path.parent)

    def at(self, path: str) -> Place:
        """Another place by its path from here, by its absolute path, or by its URL."""
        return place_of(path if "://" in path else self.path / path)

    def open(self) -> IO[bytes]:
        """The bytes of a file."""
        return self.path.open("rb")

    def files(self) -> Iterator[Found]:
        """All files of the tree. Links are followed where they stay in it, each folder is visited once."""
        home = self.path.resolve()
        homes = [home]
        if home.parent.name == "snapshots":  # the Hugging Face cache: its files are links to ../../blobs
            homes.append(home.parent.parent / "blobs")
        return self._walk(self.path, homes, set())

    def _walk(self, folder: Path, homes: list[Path], visited: set[str]) -> Iterator[Found]:
        real = os.path.realpath(folder)
        if real in visited:
            return
        visited.add(real)
        try:
            with os.scandir(folder) as entries:
                found = sorted(
                    (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
                )
        except OSError as closed:
            if folder == self.path:
                raise UsageError(f"the folder {folder} cannot be listed: {closed.strerror}.") from closed
            relative = PurePosixPath(folder.relative_to(self.path).as_posix())
            yield Found(relative, str(folder), f"is a folder that cannot be listed: {closed.strerror}.", is_folder=True)
            return
        for entry in found:
            path = Path(entry.path)
            relative = PurePosixPath(path.relative_to(self.path).as_posix())
            if entry.is_symlink():
                target = Path(os.path.realpath(path))  # not resolve(): it raises where links go round in circles
                if not any(target.is_relative_to(home) for home in homes):
                    kind = "folder" if target.is_dir() else "file"
                    error = f"is a link to a {kind} outside of {self.path}; give that {kind} itself, or a list."
                    yield Found(relative, entry.path, error, is_folder=kind == "folder")
                    continue
            # An entry knows without asking the disk, but raises of a link that goes round in circles.
            if path.is_dir() if entry.is_symlink() else entry.is_dir():
                yield from self._walk(path, homes, visited)
            else:
                is_plain = entry.is_file(follow_symlinks=False)
                yield Found(relative, entry.path, None if is_plain else why_no_file(path))


def why_no_file(path: Path) -> str | None:
    """Why a path is not a regular file, found out without opening it; None if it is one."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP):
            return "is a link to nothing." if error.errno == errno.ENOENT else "is a link that leads back to itself."
        return f"cannot be opened: {error.strerror}."
    if stat.S_ISREG(mode):
        return None
    return next((f"is {kind}, not a file." for is_kind, kind in KINDS.items() if is_kind(mode)), "is not a file.")


class RemotePlace:
    """A place behind a URL that fsspec reads: s3://, gs://, hf://, https://, memory:// and others.

    Args:
        url: Its URL.
    """

    def __init__(self, url: str) -> None:
        self.address = url.rstrip("/") if url.split("://", 1)[1].strip("/") else url
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise UsageError(f"{url} is read with fsspec, which is not installed: pip install fsspec.") from error
        try:
            self.file_system: Any
            self.file_system, self.path = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{url} cannot be read: {' '.join(str(error).split())}") from error

    @property
    def name(self) -> str:
        """Last part of its path."""
        return PurePosixPath(self.path).name or "videos"

    def kind(self) -> Kind | None:
        """What it is; None: there is nothing, or it cannot be reached."""
        try:
            found = str(self.file_system.info(self.path)["type"])
        except FileNotFoundError:
            return None
        except Exception as error:  # what the libraries behind fsspec raise is as manifold as they are
            raise UsageError(f"{self.address} cannot be reached: {_one_line(error)}") from error
        return "folder" if found == "directory" else "file"

    @property
    def parent(self) -> Place:
        """The folder in which it lies."""
        protocol, path = self.address.split("://", 1)
        return RemotePlace(f"{protocol}://{path.rpartition('/')[0]}")

    def at(self, path: str) -> Place:
        """Another place by its path from here, by its absolute path, or by its URL."""
        if "://" in path or path.startswith("/"):
            return place_of(path)
        parts = [*self.address.split("/")]
        for part in PurePosixPath(path).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        return RemotePlace("/".join(parts))

    def open(self) -> IO[bytes]:
        """The bytes of a file, fetched in ranges as they are read."""
        try:
            opened: IO[bytes] = self.file_system.open(self.path, "rb")
        except Exception as error:
            raise OSError(_one_line(error)) from error
        return opened

    def status(self) -> tuple[int, str]:
        """Length of a file in bytes, and a text that changes when the file does.

        Raises:
            OSError: There is no such file, or it cannot be reached.
        """
        try:
            size = self.file_system.info(self.path)["size"]
            return int(size), str(self.file_system.ukey(self.path))
        except Exception as error:
            raise OSError(_one_line(error)) from error

    def files(self) -> Iterator[Found]:
        """All files of the tree."""
        try:
            paths = self.file_system.find(self.path)
        except Exception as error:
            raise UsageError(f"{self.address} cannot be listed: {_one_line(error)}") from error
        for path in sorted(paths):
            relative = PurePosixPath(path.removeprefix(self.path).lstrip("/"))
            if not any(part.startswith(".") for part in relative.parts):
                yield Found(relative, f"{self.address}/{relative}")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
