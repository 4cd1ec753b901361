"""Energy score: one number for a cloud of samples that is best, in expectation, only for the true distribution."""

from torch import Tensor

from videossl.evaluation.mean_over_contexts import MeanOverContexts
from videossl.evaluation.shapes import distances, unit, weighted_futures, weighted_points
from videossl.transition.precision import at_least_float32


def energy_score(samples: Tensor, futures: Tensor, weights: Tensor | None = None, *, fair: bool = True) -> Tensor:
    """Energy score of each context: `mean_k || x_k - y || - 1/2 mean_{k,k'} || x_k - x_k' ||`.

    Args:
        samples: (B, K, D) sampled futures; L2-normalised here, any scale.
        futures: (B, D) what happened, or (B, M, D) all that could have: the score is then its expectation.
        weights: (B, M) probabilities of the futures; None: equal.
        fair: Leave the K pairs of a sample with itself out of the second mean, so that the value does not depend on
            K in expectation (Ferro 2014, doi:10.1002/qj.2270). False: the score of the K points taken as the whole
            forecast. With one sample the second term is zero either way.

    Returns:
        (B,), at most 2; lower is better.
    """
    futures, weights = weighted_futures(samples, futures, weights)
    return _energy(unit(samples), futures, weights, fair=fair)


def energy_of_points(samples: Tensor, futures: Tensor, weights: Tensor | None = None, *, fair: bool = True) -> Tensor:
    """The same of points as they are, not normalised: (B,), in their own unit. Arguments as in `energy_score`."""
    futures, weights = weighted_points(samples, futures, weights)
    return _energy(at_least_float32(samples), futures, weights, fair=fair)


def _energy(points: Tensor, futures: Tensor, weights: Tensor, *, fair: bool) -> Tensor:
    """Of points (B, K, A) about futures (B, M, A) with weights (B, M): (B,)."""
    num_samples = points.shape[1]
    error = (distances(points, futures).mean(dim=1) * weights).sum(dim=1)  # (B,)
    pairs = num_samples * (num_samples - 1) if fair else num_samples**2
    spread = distances(points, points).sum(dim=(1, 2)) / max(pairs, 1)  # (B,)
    return error - spread / 2


class EnergyScore(MeanOverContexts):
    """Mean energy score over contexts; a proper score: no forecast beats the true distribution in expectation.

    Gneiting and Raftery 2007, doi:10.1198/016214506000001437, eq. 21, with exponent 1. It rewards both being near
    and being as spread as the truth: the mean prediction pays for its missing spread, noise pays for its errors.
    Unit vectors, so in the units of that embedding space: divide by the score of climatology before comparing spaces.

    Args:
        fair: Unbiased in K, see `energy_score`.
    """

    higher_is_better = False

    def __init__(self, *, fair: bool = True) -> None:
        super().__init__()
        self.fair = fair

    def update(self, samples: Tensor, futures: Tensor, weights: Tensor | None = None) -> None:
        """Add contexts: samples (B, K, D), futures (B, D) or (B, M, D) with weights (B, M)."""
        self._add(energy_score(samples, futures, weights, fair=self.fair))
