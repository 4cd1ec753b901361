"""Where the objects of a world truly are: in this unit predictions of different embedding spaces can be compared."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Trajectories:
    """True motion in the futures of n contexts: centres (x, y) of O objects in each of T frames, in px of the world.

    An object keeps its place along O in all futures of its context.

    Attributes:
        futures: (n, T, O, 2) float, what was observed.
        branches: (n, M, T, O, 2) float, all possible futures.
    """

    futures: Tensor
    branches: Tensor

    def __post_init__(self) -> None:
        one = self.futures.shape[1:]
        n = len(self.futures)
        for name, axes in (("futures", "(n, T, O, 2)"), ("branches", "(n, M, T, O, 2)")):
            points = getattr(self, name)
            num_axes = axes.count(",") + 1
            fits = points.ndim == num_axes and len(points) == n and points.shape[-3:] == one and points.shape[-1] == 2
            if not fits or not points.is_floating_point():
                raise ValueError(
                    f"expected trajectories of {name} {axes} float with n = {n} and (T, O, 2) = {tuple(one)}, got "
                    f"{tuple(points.shape)} {points.dtype}."
                )

    def __len__(self) -> int:
        return len(self.futures)

    def __getitem__(self, rows: Tensor) -> "Trajectories":
        """Those of some of the contexts: their row numbers (n',)."""
        return Trajectories(self.futures[rows], self.branches[rows])
