"""Find files by the ends of their paths: tables name videos relative to different folders."""

from collections.abc import Sequence
from pathlib import PurePath

SEVERAL = -1


def rows_by_path_end(known: Sequence[str], asked: Sequence[str | PurePath]) -> list[int | None]:
    """For each path that is asked for, the row of the known path that ends in it, or in which it ends.

    `videos/0.mp4` is `/data/world/videos/0.mp4` and `0.mp4`, but not `other/0.mp4`.

    Args:
        known: Paths, no two alike.
        asked: Paths.

    Returns:
        None where there is no such row, or more than one.
    """
    whole, ends = dict[tuple[str, ...], int](), dict[tuple[str, ...], int]()
    for row, path in enumerate(known):
        parts = PurePath(path).parts
        whole[parts] = row
        for start in range(len(parts)):
            ends[parts[start:]] = SEVERAL if parts[start:] in ends else row
    rows: list[int | None] = []
    for wanted in asked:
        parts = PurePath(wanted).parts
        found = next((whole[parts[start:]] for start in range(len(parts)) if parts[start:] in whole), None)
        if found is None:
            found = ends.get(parts)
        rows.append(None if found == SEVERAL else found)
    return rows
