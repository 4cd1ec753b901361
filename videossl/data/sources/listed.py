"""A video that a list or a table names by its path."""

from pathlib import PurePosixPath

from videossl.data.media import Media
from videossl.data.places import Kind, LocalPlace, Place, why_no_file
from videossl.data.sources.base import SUFFIXES, has_suffix


class ListedFiles:
    """Paths of videos as a list or a table writes them: relative to its folder, absolute, or URLs.

    Links may lead anywhere: whoever writes a list may name any file.

    Args:
        folder: Folder of the list or table.
        frames_per_second: Of frame folders.
    """

    def __init__(self, folder: Place, frames_per_second: float) -> None:
        self.folder = folder
        self.frames_per_second = frames_per_second
        self._known: dict[str, tuple[Place, Kind | None]] = {}  # lists have hundreds of thousands of lines

    def _look(self, path: str) -> tuple[Place, Kind | None]:
        """The place, and what is there; a URL is not asked."""
        if path not in self._known:
            place = self.folder.at(path)
            self._known[path] = place, place.kind() if isinstance(place, LocalPlace) else None
        return self._known[path]

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder; of URLs it is enough that they end like a video, nobody asks."""
        place, kind = self._look(path)
        if isinstance(place, LocalPlace):
            return path != "" and kind is not None
        return has_suffix(path, SUFFIXES)

    def media(self, path: str) -> Media:
        """A file, or a folder of frames."""
        place, kind = self._look(path)
        if kind == "folder":
            return Media(place.address, frames_per_second=self.frames_per_second)
        return Media(place.address)

    def name(self, path: str) -> str:
        """The path relative to the folder if it lies in it, else as it is written."""
        address = self._look(path)[0].address
        if address.startswith(self.folder.address.rstrip("/") + "/"):
            return address[len(self.folder.address.rstrip("/")) + 1 :]
        return path if "://" in path else PurePosixPath(path).as_posix()

    def error(self, path: str) -> str | None:
        """Why the video cannot be used; None if it can. URLs are believed until they are opened."""
        place, kind = self._look(path)
        if not isinstance(place, LocalPlace) or kind is not None:
            return None
        return why_no_file(place.path)
