"""Videos whose decoder crashed or hung, known to all workers at once so that one deadline is waited out once."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videossl.data.isolation import HUNG, how_it_died


class Quarantine:
    """Which videos of a data set must not be opened again, and why.

    The memory is shared by forked workers. Processes that are spawned start with a list of their own.

    Args:
        num_videos: Videos of the data set.
        deadline_seconds: The deadline that is told of in causes.
    """

    def __init__(self, num_videos: int, *, deadline_seconds: float | None) -> None:
        self.num_videos = num_videos
        self.deadline_seconds = deadline_seconds
        self._allocate()

    def _allocate(self) -> None:
        memory = mmap.mmap(-1, max(1, 2 * self.num_videos))
        self._codes: NDArray[np.int16] = np.frombuffer(memory, dtype=np.int16, count=self.num_videos)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_codes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._allocate()

    def put(self, video: int, code: int) -> None:
        """Never open this video again; `code` is that of a `ChildDiedError`."""
        self._codes[video] = code

    def cause(self, video: int) -> str | None:
        """Why this video must not be opened, in one line; None if it may be."""
        code = int(self._codes[video])
        if code == 0:
            return None
        return why_given_up(code, self.deadline_seconds)


def why_given_up(code: int, deadline_seconds: float | None) -> str:
    """What to say of a video whose decoder died with a `ChildDiedError` of this code, in one line."""
    if code == HUNG:
        return (
            f"its decoder hung: no frames within {deadline_seconds:g} s. "
            "If it is only slow, raise data.deadline_seconds."
        )
    return f"its decoder {how_it_died(code)}."
