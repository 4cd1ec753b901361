"""Patterns that stand for several tar shards."""

import glob
import re
from pathlib import PurePosixPath

from videossl.data.places import Found, RemotePlace, place_of
from videossl.data.sources.webdataset import is_shard
from videossl.errors import UsageError

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST_SHARDS = 1_000_000


def is_pattern(videos: str) -> bool:
    """Whether a path has braces or wildcards."""
    return any(character in videos for character in "{*?[")


def shards_of(pattern: str) -> list[Found]:
    """The shards of a pattern: {000..012} and {a,b} count up and list, * ? [] are looked up. URLs too.

    Raises:
        UsageError: It is not of tar shards, or there is none.
    """
    addresses: list[str] = []
    for path in braces_expanded(pattern):
        addresses += _matches(path) if any(character in path for character in "*?[") else [path]
    if not addresses or not all(is_shard(address) for address in addresses):
        raise UsageError(
            f"the pattern {pattern} stands for {len(addresses)} paths, which are not all tar shards. Patterns are for "
            "shards, for example 'shards/train-{000000..000099}.tar'; other videos go into a folder or a list."
        )
    found = [Found(_relative(place_of(address).address), place_of(address).address) for address in addresses]
    missing = [shard.address for shard in found if place_of(shard.address).kind() != "file"]
    if missing:
        raise UsageError(
            f"{len(missing)} of the {len(found)} shards of {pattern} do not exist, for example {missing[0]}."
        )
    return found


def _relative(address: str) -> PurePosixPath:
    return PurePosixPath(PurePosixPath(address).name)


def _matches(path: str) -> list[str]:
    if "://" not in path:
        return sorted(glob.glob(path))  # noqa: PTH207 - Path.glob takes no absolute patterns
    place = RemotePlace(path)
    protocol = path.split("://", 1)[0]
    try:
        return [f"{protocol}://{found.lstrip('/')}" for found in sorted(place.file_system.glob(place.path))]
    except Exception as error:
        raise UsageError(f"{path} cannot be listed: {type(error).__name__}: {error}") from error


def braces_expanded(pattern: str) -> list[str]:
    """All paths that a pattern with braces stands for, in order.

    Raises:
        UsageError: A range that runs backwards, or more paths than there can be.
    """
    match = BRACES.search(pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    counted = RANGE.fullmatch(match[1])
    if counted is None:
        choices = match[1].split(",")
    else:
        first, last = int(counted[1]), int(counted[2])
        if not first <= last < first + MOST_SHARDS:
            raise UsageError(f"the range {match[0]} in {pattern} is empty or has more than {MOST_SHARDS} numbers.")
        choices = [f"{number:0{len(counted[1])}d}" for number in range(first, last + 1)]
    tails = braces_expanded(after)
    return [f"{before}{choice}{tail}" for choice in choices for tail in tails]
