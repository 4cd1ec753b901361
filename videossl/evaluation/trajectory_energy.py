"""Energy score of true motion, in pixels: the same unit for models whose embedding spaces have nothing in common."""

from einops import rearrange
from torch import Tensor

from videossl.evaluation import oracles
from videossl.evaluation.energy_score import energy_of_points
from videossl.evaluation.mean_over_contexts import MeanOverContexts


def trajectory_energy(samples: Tensor, futures: Tensor, weights: Tensor | None = None) -> Tensor:
    """Energy score of each context in px: `mean_k d(x_k, y) - 1/2 mean_{k != k'} d(x_k, x_k')`.

    d is the root mean square, over frames and objects, of the distance between where an object is in the one and
    in the other: a Euclidean norm up to its scale, so the score is proper. Objects are told apart, not matched anew.

    Args:
        samples: (B, K, T, O, 2) px, trajectories that stand for K sampled futures.
        futures: (B, T, O, 2) px, what happened, or (B, M, T, O, 2), all that could have: the score is then its
            expectation.
        weights: (B, M) probabilities of the futures; None: equal.

    Returns:
        (B,) px; lower is better. Of one sample it is the expected distance from what happens.
    """
    if samples.ndim != 5 or futures.shape[-3:] != samples.shape[-3:]:
        raise ValueError(
            f"expected trajectories (B, K, T, O, 2) and futures (B, T, O, 2) or (B, M, T, O, 2) of the same frames "
            f"and objects, got {tuple(samples.shape)} and {tuple(futures.shape)}."
        )
    return energy_of_points(_points(samples), _points(futures), weights)


def expected_trajectory_energy(branches: Tensor, probabilities: Tensor) -> Tensor:
    """Trajectory energy of exact draws from the truth, in expectation: what no forecast can beat.

    Where the branches are M draws of a continuous distribution, it is that of drawing from these M, not from all
    there could be: they are what a sample is scored against.

    Args:
        branches: (B, M, T, O, 2) px.
        probabilities: (B, M).

    Returns:
        (B,) px.
    """
    return oracles.expected_energy_of_points(_points(branches), probabilities)


def _points(trajectories: Tensor) -> Tensor:
    """(..., T, O, 2) to vectors (..., T O 2) whose Euclidean distances are root mean squares over T and O."""
    num_places = trajectories.shape[-3] * trajectories.shape[-2]
    return rearrange(trajectories, "... t o xy -> ... (t o xy)") / num_places**0.5


class TrajectoryEnergy(MeanOverContexts):
    """Mean over contexts of the energy score of true trajectories, px; lower is better.

    Gneiting and Raftery 2007, doi:10.1198/016214506000001437, eq. 21, in the form that does not depend on K (Ferro
    2014, doi:10.1002/qj.2270). An embedding space that throws away what varies brings all futures together, which
    flatters every energy score in that space; in pixels of motion a prediction counts as what can be read from it.
    Samples are trajectories here: a `MotionReadout` reads them from embeddings.
    """

    higher_is_better = False

    def update(self, samples: Tensor, futures: Tensor, weights: Tensor | None = None) -> None:
        """Add contexts: samples (B, K, T, O, 2), futures (B, T, O, 2) or (B, M, T, O, 2) with weights (B, M)."""
        self._add(trajectory_energy(samples, futures, weights))
