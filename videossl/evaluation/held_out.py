"""The clips that an evaluation sees: contexts of held-out videos, what followed, and what else could have."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.evaluation.films import Film
from videossl.evaluation.paths import PathClips
from videossl.evaluation.trajectories import Trajectories
from videossl.models import checks
from videossl.types import Failure

MINIMUM_CONTEXTS = 8
TUNING_SHARE = 0.25
LARGEST_SEED = 2**32 - 1  # NumPy and scikit-learn draw, too, and take no other


def check_seed(seed: int) -> None:
    """Refuse a seed that not everything that draws in an evaluation can take."""
    checks.check_seed(seed, largest=LARGEST_SEED)


def check_enough(num_contexts: int, num_videos: int, failures: Sequence[Failure] = ()) -> None:
    """Refuse an evaluation on next to nothing; `failures` are the videos that could not be read."""
    if num_contexts < MINIMUM_CONTEXTS and failures:
        raise UsageError(
            f"an evaluation needs at least {MINIMUM_CONTEXTS} held-out contexts, got {num_contexts}: {len(failures)} "
            f"held-out video(s) could not be read, the first is {failures[0].video}: {failures[0].cause}"
        )
    if num_contexts < MINIMUM_CONTEXTS:
        raise UsageError(
            f"an evaluation needs at least {MINIMUM_CONTEXTS} held-out contexts, got {num_contexts} from {num_videos} "
            "held-out video(s). Hold out more videos (data.heldout_share), or use longer ones."
        )


def _check_mask(moves_freely: Tensor | None, n: int) -> None:
    if moves_freely is not None and (moves_freely.shape != (n,) or moves_freely.dtype != torch.bool):
        got = f"{tuple(moves_freely.shape)} {moves_freely.dtype}"
        raise ValueError(f"expected moves_freely (n,) bool with n = {n}, got {got}.")


@dataclass(frozen=True)
class ProbeClips:
    """Clips whose truth is known, for linear probes and for learning to read motion.

    Attributes:
        contexts: (n, T, C, H, W) uint8.
        futures: (n, T, C, H, W) uint8, observed.
        videos: (n,) int64, the video that each was cut from: parts are split by it.
        targets: What is read from the embeddings: name -> (n,) int64 classes or (n, A) float quantities.
        units: Name -> unit of the quantities, where they have one.
        trajectories: (n, T, O, 2) float px, true motion in `futures`, frame by frame; None where it is not known.
        moves_freely: (n,) bool, see `World.moves_freely`; None where it is not known.
    """

    contexts: Tensor
    futures: Tensor
    videos: Tensor
    targets: dict[str, Tensor]
    units: dict[str, str] = field(default_factory=dict)
    trajectories: Tensor | None = None
    moves_freely: Tensor | None = None

    def __post_init__(self) -> None:
        _check_mask(self.moves_freely, len(self.contexts))
        points, wanted = self.trajectories, tuple(self.futures.shape[:2])
        if points is None:
            return
        fits = points.ndim == 4 and points.shape[-1] == 2 and tuple(points.shape[:2]) == wanted
        if not fits or not points.is_floating_point():
            raise ValueError(
                f"expected trajectories of the probe clips (n, T, O, 2) float with (n, T) = {wanted}, got "
                f"{tuple(points.shape)} {points.dtype}."
            )


@dataclass(frozen=True)
class HeldOut:
    """Contexts of held-out videos with their futures; made by `read_held_out` from files, or by hand.

    Attributes:
        contexts: (n, T, C, H, W) uint8.
        futures: (n, T, C, H, W) uint8, what was observed to follow.
        names: Name of the video of each context.
        videos: (n,) int64, number of the video of each context.
        seconds: (n,) float64, where the context starts in its video.
        branches: (n, M, T, C, H, W) uint8, all possible futures; None where they are not known.
        branch_probabilities: (n, M) float, rows sum to one; given with `branches`.
        taken: (n,) int64, the branch that was observed; -1 where futures are continuous and `branches` are M draws.
        decoys: (n, J, T, C, H, W) uint8: in a world, futures that this context cannot have; in real video, clips of
            the same video at other times. None: none.
        trajectories: True motion in `futures` and `branches`, frame by frame; None where it is not known.
        paths: All futures of several steps of some of the contexts; None where they are not known, or one step is all.
        films: Stretches of some of the videos, for surprise over time; empty where a world makes the videos.
        probe: Clips with known truth, None where nothing is known.
        labels: (n,) int64 class of each context for the map of embeddings, -1 where unknown.
        label_name: What `labels` says, for example "digit class".
        world: Name of the world, None for real video.
        branches_alike: Whether the m-th branch is the same change in every context, so that r of one can steer another.
        moves_freely: (n,) bool, of which contexts nothing bounces in any future, see `World.moves_freely`; None where
            it is not known.
        failures: Videos that could not be read.
        notes: What was left out and why, a sentence each.
    """

    contexts: Tensor
    futures: Tensor
    names: tuple[str, ...]
    videos: Tensor
    seconds: Tensor
    branches: Tensor | None = None
    branch_probabilities: Tensor | None = None
    taken: Tensor | None = None
    decoys: Tensor | None = None
    trajectories: Trajectories | None = None
    paths: PathClips | None = None
    films: tuple[Film, ...] = ()
    probe: ProbeClips | None = None
    labels: Tensor | None = None
    label_name: str = ""
    world: str | None = None
    branches_alike: bool = True
    moves_freely: Tensor | None = None
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.contexts)
        _check_mask(self.moves_freely, n)
        for name, wanted_axes in (("contexts", 5), ("futures", 5), ("branches", 6), ("decoys", 6)):
            clips = getattr(self, name)
            if clips is not None and (clips.ndim != wanted_axes or clips.dtype != torch.uint8 or len(clips) != n):
                axes = "(n, T, C, H, W)" if wanted_axes == 5 else "(n, M, T, C, H, W)"
                raise ValueError(f"expected {name} {axes} uint8 with n = {n}, got {tuple(clips.shape)} {clips.dtype}.")
        for name in ("names", "videos", "seconds", "branch_probabilities", "taken", "labels"):
            values = getattr(self, name)
            if values is not None and len(values) != n:
                raise ValueError(f"expected {name} of {n} contexts, got {len(values)}.")
        if (self.branches is None) != (self.branch_probabilities is None):
            raise ValueError("expected branches and branch_probabilities together, got only one of them.")
        for name in ("futures", "branches") if self.trajectories is not None else ():
            clips, points = getattr(self, name), getattr(self.trajectories, name)
            wanted = None if clips is None else tuple(clips.shape[:-3])
            got = None if points is None else tuple(points.shape[:-2])
            if wanted != got:
                raise ValueError(f"expected trajectories of the {name} beside clips {wanted}, a frame each, got {got}.")
        if self.trajectories is not None and self.probe is not None and self.probe.trajectories is not None:
            of_probe, of_futures = self.probe.trajectories.shape[1:], self.trajectories.futures.shape[1:]
            if of_probe != of_futures:
                raise ValueError(
                    f"expected trajectories of the probe clips with (T, O, 2) = {tuple(of_futures)}, as the futures "
                    f"have, got {tuple(of_probe)}."
                )

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def has_branches(self) -> bool:
        """Whether the possible futures can be counted: known, and not mere draws of a continuous distribution."""
        return self.branches is not None and not self.is_continuous

    @property
    def is_continuous(self) -> bool:
        """Whether `branches` are draws of a continuous distribution."""
        return self.taken is not None and bool((self.taken < 0).any())

    def tuning_split(self, seed: int) -> tuple[Tensor, Tensor]:
        """Rows on which controls may be tuned, and rows that are scored; no video is in both if there are two videos.

        Args:
            seed: Of the choice of videos.

        Returns:
            Two sorted int64 tensors; about a quarter of the contexts is for tuning.

        Raises:
            UsageError: Fewer contexts than an evaluation needs.
        """
        distinct = torch.unique(self.videos)
        check_enough(len(self), len(distinct))
        if len(distinct) == 1:  # split it in time instead
            order = self.seconds.argsort(stable=True)
            num_tuning = round(TUNING_SHARE * len(self))
            return order[:num_tuning].sort().values, order[num_tuning:].sort().values
        shuffled = distinct[torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))]
        num_videos = min(max(1, round(TUNING_SHARE * len(distinct))), len(distinct) - 1)
        is_tuning = torch.isin(self.videos, shuffled[:num_videos])
        return is_tuning.nonzero().flatten(), (~is_tuning).nonzero().flatten()
