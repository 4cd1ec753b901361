"""WebDataset tar shards: each video is addressed by its place in the archive, nothing is unpacked.

Only the headers of the members are read, with `tarfile` of the standard library. The package `webdataset` would buy
nothing here: it reads shards from end to end, and clips need videos at random.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO

from videossl.data.media import Media
from videossl.data.places import Found, place_of
from videossl.data.sources.base import SUFFIXES, Source, check_names, has_suffix

SHARD_SUFFIXES = frozenset({".tar"})
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
LABEL_KEYS = ("label", "cls", "class")
MOST_SIDECAR_BYTES = 2**20


def is_shard(path: str) -> bool:
    """Whether a file is a tar archive by its name, compressed or not."""
    return has_suffix(path, SHARD_SUFFIXES) or path.lower().endswith(COMPRESSED)


def in_shards(shards: Sequence[Found]) -> list[Source]:
    """The members with a video's suffix of all shards, in the order of the archives.

    A video is named shard/member. Its label comes from the member beside it with the same key (the path up to the first
    dot of the file name): the text of `.cls`, else `label`, `cls` or `class` of `.json`, else the text of `.txt`.
    A shard that is compressed, cut off, without videos or no tar archive is found with an error, beside the videos that
    come before the damage.

    Args:
        shards: Files that end in .tar, or in the suffix of a compressed one.

    Raises:
        UsageError: Two members of a shard have the same name.
    """
    sources = []
    for shard in shards:
        found = list(_in_shard(shard))
        if found:
            check_names(found, f"the archive {shard.address}")
        sources += found
    return sources


def _in_shard(shard: Found) -> Iterator[Source]:
    whole = Source(Media(shard.address), shard.relative.as_posix(), error=shard.error)
    if shard.error is not None:
        yield whole
        return
    try:
        with place_of(shard.address).open() as file:
            packed = _compression(file)
            if packed is not None:
                yield _failed(
                    whole, f"is compressed ({packed}): its members cannot be read at random. Unpack it to .tar."
                )
                return
            has_videos = False
            for video in _members(shard, file):
                has_videos = True
                yield video
            if not has_videos:
                yield _failed(whole, "holds no video: no member of it has the suffix of one.")
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        yield _failed(whole, f"cannot be read to its end as a tar archive: {' '.join(str(error).split())}.")


def _failed(whole: Source, cause: str) -> Source:
    return Source(whole.media, whole.name, error=cause)


def _compression(file: IO[bytes]) -> str | None:
    start = file.read(8)
    file.seek(0)
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)


def _members(shard: Found, file: IO[bytes]) -> Iterator[Source]:
    labels: dict[str, dict[str, str]] = {}  # key of a sample -> {suffix of the sidecar: label}
    videos: list[tuple[str, Source]] = []
    damage: Exception | None = None
    with tarfile.open(fileobj=file, mode="r:") as archive:
        try:
            for member in archive:
                name = member.name.removeprefix("./")
                path = PurePosixPath(name)
                if any(part.startswith(".") for part in path.parts):
                    continue
                key, suffix = _key(name)
                if has_suffix(name, SUFFIXES) and not member.isdir():
                    videos.append((key, _video(shard, member, name)))
                elif suffix in ("cls", "json", "txt") and member.isreg() and member.size <= MOST_SIDECAR_BYTES:
                    content = archive.extractfile(member)
                    label = _label(suffix, content.read() if content is not None else b"")
                    if label:
                        labels.setdefault(key, {})[suffix] = label
        except (tarfile.TarError, OSError, EOFError) as error:
            damage = error
    for key, video in videos:
        beside = labels.get(key, {})
        label = next((beside[suffix] for suffix in ("cls", "json", "txt") if suffix in beside), None)
        yield Source(video.media, video.name, label, error=video.error)
    if damage is not None:
        raise damage


def _key(name: str) -> tuple[str, str]:
    """Key of the sample, and the rest of the name behind the first dot of the file name."""
    folder, _, file = name.rpartition("/")
    stem, _, suffix = file.partition(".")
    return f"{folder}/{stem}", suffix.lower()


def _video(shard: Found, member: tarfile.TarInfo, name: str) -> Source:
    error = None
    if not member.isreg() or member.issparse():
        error = "is a link, a device or a sparse file in its archive: only plain members are read."
    elif member.size == 0:
        error = "is empty (0 bytes)."
    media = Media(shard.address, member.offset_data, member.size)
    return Source(media, f"{shard.relative}/{name}", error=error)


def _label(suffix: str, content: bytes) -> str | None:
    text = content.decode("utf-8", errors="replace").strip()
    if suffix != "json":
        return " ".join(text.split()) or None
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(values, dict):
        return None
    return next((str(values[key]) for key in LABEL_KEYS if values.get(key) is not None), None)
