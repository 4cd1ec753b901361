"""Score every row with every metric, in its own space, with intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from videossl.evaluation import oracles
from videossl.evaluation.best_of_k import best_of_k, best_of_k_curve
from videossl.evaluation.branch_accuracy import branch_accuracy
from videossl.evaluation.branch_calibration import branch_frequencies, total_variation
from videossl.evaluation.branch_coverage import branch_coverage
from videossl.evaluation.branch_precision import branch_precision
from videossl.evaluation.candidate_nll import candidate_nll, entropy
from videossl.evaluation.candidates import Crowd, own_log_densities
from videossl.evaluation.density import cross_fitted_log_density
from videossl.evaluation.energy_score import energy_score
from videossl.evaluation.future_retrieval import retrieval_ranks
from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.predictors import NUM_DRAWS, Prediction
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.rank_histogram import RankHistogram
from videossl.evaluation.readout import MotionReadout
from videossl.evaluation.space import Space
from videossl.evaluation.spread_skill import spread_and_skill
from videossl.evaluation.trajectories import Trajectories
from videossl.evaluation.trajectory_energy import expected_trajectory_energy, trajectory_energy
from videossl.probing import Bootstrap, Interval

HITS = (1, 5)


@dataclass(frozen=True)
class RowScores:
    """What one row reached.

    Attributes:
        metrics: Name -> interval; a metric that is not defined for this row is absent.
        curve: Best-of-k error over that of climatology, for k = 1 ... K; empty where not defined.
        rank_histogram: K + 1 frequencies; empty where not defined.
        values: Name -> (n,), the metrics that are means over contexts, context by context.
    """

    metrics: dict[str, Interval]
    curve: list[float]
    rank_histogram: list[float]
    values: dict[str, Tensor]


def climatology_rows(videos: Tensor, scored: Tensor, *, num_samples: int, seed: int) -> Tensor:
    """For each scored context, K other contexts whose observed futures stand for "any future at all".

    Of other videos; of other times of the same video if there is only one. Drawn with replacement only where there
    are fewer than K.

    Args:
        videos: (n,) video of each context, of all contexts.
        scored: (n',) rows.
        num_samples: K.
        seed: Of the draw.

    Returns:
        (n', K) row numbers.
    """
    allowed = videos[scored][:, None] != videos[None]  # (n', n)
    if not allowed.any(dim=1).all():
        allowed = scored[:, None] != torch.arange(len(videos))[None]
    few = bool((allowed.sum(dim=1) < num_samples).any())
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(allowed.float(), num_samples, replacement=few, generator=generator)


class FutureScorer:
    """Score rows on the scored contexts of one evaluation.

    Args:
        held_out: Videos, probabilities and true motion are read from it.
        spaces: All contexts by name of the space.
        readouts: Of the same spaces, for scores in px; empty where motion cannot be read.
        scored: (n',) rows that are scored.
        num_samples: K.
        seed: Of climatology and the bootstrap.

    Attributes:
        crowd: Among which candidates the likelihood of a future is judged.
        climatology_px: Trajectory energy of climatology, px; None where motion cannot be read.
    """

    def __init__(
        self,
        held_out: HeldOut,
        spaces: dict[str, Space],
        readouts: Mapping[str, MotionReadout],
        scored: Tensor,
        *,
        num_samples: int,
        seed: int,
    ) -> None:
        self.has_branches = held_out.has_branches
        self.is_continuous = held_out.is_continuous
        self.num_samples, self.readouts = num_samples, readouts
        self.num_draws = max(num_samples, NUM_DRAWS)
        self.videos = held_out.videos[scored]
        self.spaces = {name: space[scored] for name, space in spaces.items()}
        probabilities = held_out.branch_probabilities
        self.probabilities = None if probabilities is None else probabilities[scored].float()
        self.bootstrap = Bootstrap(self.videos, seed=seed)
        countable = self.probabilities if self.has_branches else None
        some = next(iter(self.spaces.values()))
        self.crowd = Crowd.of(held_out.videos, scored, some, countable, seed=seed)
        self.candidates = {
            name: self.crowd.candidates(self.spaces[name], space.futures, count_branches=self.has_branches)
            for name, space in spaces.items()
        }
        others = climatology_rows(held_out.videos, scored, num_samples=num_samples, seed=seed)
        self.climatology = {
            name: self._distance_scores(space.futures[others], self.spaces[name]) for name, space in spaces.items()
        }
        self.trajectories, self.climatology_px = None, None
        if held_out.trajectories is not None and readouts:
            self.trajectories = held_out.trajectories[scored]
            of_others = held_out.trajectories.futures[others]
            of_climatology = trajectory_energy(of_others, self.trajectories.branches, self.probabilities)
            self.climatology_px = float(of_climatology.double().mean())

    def score(self, row: Prediction) -> RowScores:
        """All metrics of one row; what can be told of samples that are not independent, where they are not."""
        if not row.independent:
            return self._scores_of_dependent(row)
        space = self.spaces[row.space]
        reference = self.climatology[row.space]
        is_truth = row.weights is not None
        scores = self._truth_scores(space) if is_truth else self._distance_scores(row.samples, space)
        ranks = retrieval_ranks(row.samples, space.futures, space.decoys, weights=row.weights)
        scores |= {f"hit_at_{top}": (ranks <= top).float() for top in HITS} | {"mrr": 1 / ranks}
        if not is_truth:
            scores["nll"] = self.nll(row)
        if self.has_branches and not is_truth:
            scores |= self._branch_scores(row, space)
        if self.trajectories is not None:
            scores["energy_px"] = self._trajectory_energy(row, self.trajectories)
        values = {name: found for name, found in scores.items() if found.ndim == 1}
        metrics = {name: self.bootstrap.mean(found) for name, found in values.items()}
        if self.has_branches:
            metrics["calibration_pooled"] = self._pooled_calibration(row, space)
        metrics["energy_ratio"] = self.bootstrap.ratio(scores["energy_score"], reference["energy_score"])
        curve: list[float] = []
        if "curve" in scores:
            best, best_of_others = scores["curve"], reference["curve"]
            metrics["best_of_k"] = self.bootstrap.mean(best[:, -1])
            metrics["best_of_k_ratio"] = self.bootstrap.ratio(best[:, -1], best_of_others[:, -1])
            curve = (best.mean(dim=0) / best_of_others.mean(dim=0)).tolist()
        histogram: list[float] = []
        if not is_truth and self.num_samples >= 2:
            metrics["spread_skill"] = self.bootstrap.root_ratio(*spread_and_skill(row.samples, space.futures))
            ranked = RankHistogram(self.num_samples)
            ranked.update(row.samples, space.futures)
            histogram = ranked.compute().tolist()
        finite = _defined(metrics)
        values = {name: found for name, found in values.items() if name in finite}
        return RowScores(finite, [value for value in curve if math.isfinite(value)], histogram, values)

    def _scores_of_dependent(self, row: Prediction) -> RowScores:
        """What each sample says by itself, and the nearest of all: what is told of pairs or of fewer would be off."""
        space = self.spaces[row.space]
        futures = space.futures if space.branches is None else space.branches
        values = {"best_of_k": best_of_k(row.samples, futures, self.probabilities)}
        if space.branches is not None and self.has_branches:
            values["coverage"] = branch_coverage(row.samples, space.branches, space.decoys, self.probabilities)
            if space.decoys is not None:
                values["precision"] = branch_precision(row.samples, space.branches, space.decoys, self.probabilities)
        metrics = {name: self.bootstrap.mean(found) for name, found in values.items()}
        of_others = self.climatology[row.space]["curve"][:, -1]
        metrics["best_of_k_ratio"] = self.bootstrap.ratio(values["best_of_k"], of_others)
        return RowScores(_defined(metrics), [], [], values)

    def frequencies(self, row: Prediction) -> tuple[Tensor, Tensor, float]:
        """True and sampled frequencies of the branches over all contexts, (M,) each, and their total variation."""
        space = self.spaces[row.space]
        if space.branches is None or self.probabilities is None:
            raise ValueError("expected a world with branches to count, got none.")
        true = self.probabilities.mean(dim=0)
        sampled = branch_frequencies(row.many, space.branches, None, self.probabilities).mean(dim=0)
        return true, sampled, float(total_variation(sampled, true))

    def _distance_scores(self, samples: Tensor, space: Space) -> dict[str, Tensor]:
        """Energy score (n,) and best-of-k curve (n, K): against all possible futures where known, else the observed."""
        futures = space.futures if space.branches is None else space.branches
        return {
            "energy_score": energy_score(samples, futures, self.probabilities),
            "curve": best_of_k_curve(samples, futures, self.probabilities),
        }

    def _trajectory_energy(self, row: Prediction, trajectories: Trajectories) -> Tensor:
        """(n,) px."""
        if row.weights is not None:
            return expected_trajectory_energy(trajectories.branches, row.weights)
        read = self.readouts[row.space](row.samples)
        return trajectory_energy(read, trajectories.branches, self.probabilities)

    def nll(self, row: Prediction) -> Tensor:
        """(n,) nats: `candidate_nll` by a kernel around the draws of a row, its width fitted on other contexts."""
        draws, candidates = row.many, self.candidates[row.space]
        if row.draws is None and bool((draws == draws[:, :1]).all()):
            draws = draws[:, :1]  # one answer, K times
        density = cross_fitted_log_density(draws, candidates, self.crowd.weights, self.videos)
        return candidate_nll(density, self.crowd.weights)

    def own_nll(self, model: FutureModel, *, seed: int) -> dict[str, Interval]:
        """`nll_own`, if the run's model has a density of its own."""
        densities = own_log_densities(model, self.spaces["run"].contexts, self.candidates["run"], seed=seed)
        if densities is None:
            return {}
        found = self.bootstrap.mean(candidate_nll(densities, self.crowd.weights))
        return {"nll_own": found} if math.isfinite(found.high) else {}

    def _pooled_calibration(self, row: Prediction, space: Space) -> Interval:
        """Total variation of the branch frequencies of all contexts together."""
        probabilities = self.probabilities
        assert space.branches is not None  # has_branches says so
        assert probabilities is not None
        if row.weights is not None:
            expected = oracles.expected_pooled_total_variation(probabilities, self.num_draws)
            return Interval(expected, expected, expected)
        frequencies = branch_frequencies(row.many, space.branches, None, probabilities)
        return self.bootstrap.total_variation(frequencies, probabilities)

    def _branch_scores(self, row: Prediction, space: Space) -> dict[str, Tensor]:
        branches, probabilities = space.branches, self.probabilities
        assert branches is not None  # has_branches says so
        assert probabilities is not None
        # For the calibration all samples count, for the nearest true branch: what a decoy takes away is the
        # precision's business. It is told from many draws, so that the sampling noise of K does not drown it.
        frequencies = branch_frequencies(row.many, branches, None, probabilities)
        found = {
            "coverage": branch_coverage(row.samples, branches, space.decoys, probabilities),
            "calibration": total_variation(frequencies, probabilities),
        }
        if space.decoys is not None:
            found["precision"] = branch_precision(row.samples, branches, space.decoys, probabilities)
        if row.told is not None:
            found["branch_accuracy"] = branch_accuracy(row.many, row.told, branches, space.decoys)
            found["branch_choice"] = branch_accuracy(row.many, row.told, branches)
        return found

    def _truth_scores(self, space: Space) -> dict[str, Tensor]:
        branches, probabilities = space.branches, self.probabilities
        assert branches is not None  # there is no row "truth" without
        assert probabilities is not None
        energy = oracles.expected_energy_score(branches, probabilities, draws=self.is_continuous)
        if self.is_continuous:  # M draws of a continuous distribution say nothing exact about K others
            return {"energy_score": energy}
        return {
            "energy_score": energy,
            "curve": oracles.expected_best_of_k_curve(branches, probabilities, self.num_samples),
            "coverage": oracles.expected_coverage(probabilities, self.num_samples),
            **({} if space.decoys is None else {"precision": torch.ones(len(branches))}),
            "calibration": oracles.expected_total_variation(probabilities, self.num_draws),
            "nll": entropy(probabilities),
        }


def _defined(metrics: dict[str, Interval]) -> dict[str, Interval]:
    """Without what a model that has collapsed to a point divides, zero by zero: JSON has no word for it."""
    return {
        name: interval
        for name, interval in metrics.items()
        if all(math.isfinite(value) for value in (interval.value, interval.low, interval.high))
    }


def curve_points(curve: Sequence[float]) -> list[list[float]]:
    """[[1, value], [2, value], ..., [K, value]], thinned to about 64 points where K is large, K always among them."""
    step = max(1, len(curve) // 64)
    ks = sorted({*range(1, len(curve) + 1, step), len(curve)}) if curve else []
    return [[k, curve[k - 1]] for k in ks]
