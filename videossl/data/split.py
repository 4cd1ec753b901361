"""Which videos are held out: a function of their names and a seed, so that it never depends on what else is there."""

import hashlib
from collections.abc import Iterable
from typing import Literal

Split = Literal["train", "heldout"]


def held_out(groups: Iterable[str], *, share: float, seed: int) -> set[str]:
    """The `round(share * n)` of n groups of videos with the lowest hashes.

    At least one where n >= 2 and the share is not 0, and never all of them unless the share is 1.

    Args:
        groups: Groups of the readable videos; a video that belongs to no other is a group with its own name.
        share: From 0 to 1.
        seed: Another seed gives another split.
    """
    different = set(groups)
    num_heldout = round(share * len(different))
    if share < 1:
        num_heldout = min(max(num_heldout, 1 if share > 0 else 0), len(different) - 1)
    return set(sorted(different, key=lambda group: (_hash(seed, group), group))[: max(0, num_heldout)])


def _hash(seed: int, group: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{group}".encode(errors="surrogateescape"), digest_size=8).digest()
