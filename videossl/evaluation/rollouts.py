"""Score futures of several steps: the transition chained, a fresh r at each step, against all the ways on."""

from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from videossl.evaluation import oracles
from videossl.evaluation.branch_calibration import branch_frequencies, total_variation
from videossl.evaluation.branch_coverage import branch_coverage
from videossl.evaluation.branch_precision import branch_precision
from videossl.evaluation.check_model import checked_futures
from videossl.evaluation.noise import noise_around, tuned_scale
from videossl.evaluation.path_space import PathSpace, embed_paths, one_point
from videossl.evaluation.paths import PathClips
from videossl.evaluation.predictors import NUM_DRAWS
from videossl.evaluation.protocol import FutureModel, device_of
from videossl.probing import Bootstrap, Interval

SAMPLES_AT_ONCE = 8192
TUNING_SHARE = 0.25


@torch.inference_mode()
def sampled_paths(model: FutureModel, states: Tensor, *, num_samples: int, horizon: int, seed: int) -> Tensor:
    """States (n, D) -> (n, K, S, D) on the CPU, from the prior only."""
    device = device_of(model)
    parts = []
    for number, part in enumerate(torch.split(states, max(1, SAMPLES_AT_ONCE // num_samples))):
        given = model.sample_futures(part.to(device), num_samples=num_samples, horizon=horizon, seed=seed + number)
        parts.append(checked_futures("sample_futures", given, part, K=num_samples, S=horizon))
    return torch.cat(parts).float().cpu()


@torch.inference_mode()
def mean_paths(model: FutureModel, states: Tensor, *, horizon: int) -> Tensor:
    """The one prediction, chained: (n, D) -> (n, S, D) on the CPU."""
    state, steps = states.to(device_of(model)), []
    for _ in range(horizon):
        state = checked_futures("mean_future", model.mean_future(state), states)
        steps.append(state)
    return torch.stack(steps, dim=1).float().cpu()


@torch.inference_mode()
def told_paths(model: FutureModel, states: Tensor, futures: Tensor, *, seed: int) -> Tensor:
    """The transition chained with r inferred at each step from a true future.

    Args:
        model: With a latent.
        states: (n, D) of the contexts.
        futures: (n, K, S, D), the true states of the future that each of K samples is told.
        seed: Of the draws.

    Returns:
        (n, K, S, D) on the CPU.
    """
    device, (_, num_samples, num_steps, _) = device_of(model), futures.shape
    start = repeat(states, "n d -> (n k) d", k=num_samples)
    parts = []
    for number, (state, told) in enumerate(
        zip(
            torch.split(start, SAMPLES_AT_ONCE),
            torch.split(rearrange(futures, "n k s d -> (n k) s d"), SAMPLES_AT_ONCE),
            strict=True,
        )
    ):
        state, steps = state.to(device), []
        for step in range(num_steps):
            draw = seed + number * num_steps + step
            given = model.posterior_futures(state, told[:, step].to(device), num_samples=1, seed=draw)
            state = checked_futures("posterior_futures", given, state, K=1)[:, 0]
            steps.append(state)
        parts.append(torch.stack(steps, dim=1).float().cpu())
    return rearrange(torch.cat(parts), "(n k) s d -> n k s d", k=num_samples)


def horizons(
    model: FutureModel, twin: FutureModel | None, clips: PathClips, *, num_samples: int, seed: int
) -> list[dict[str, Any]]:
    """The entry `horizons` of `metrics.json`: coverage, precision and calibration of whole futures of several steps.

    A future of s steps is one point, the states of its steps behind each other, so it lands on the future that is
    nearest on the mean over the steps, among all futures of so many steps and all decoys. Noise is tuned for coverage
    at each horizon by itself.

    Args:
        model: The run's model.
        twin: Its deterministic twin, None if there is none: the noise then goes around the model's own mean.
        clips: The contexts and all that can follow.
        num_samples: K, for coverage and precision; calibration is told from many draws.
        seed: Of every draw.

    Returns:
        For 2 ... S steps: `steps`, `frames` from the branching on, `num_branches`, `num_possible` (mean over contexts),
        `num_samples`, `num_contexts` and `rows` as of the table of one step.
    """
    spaces = {"run": embed_paths(model, clips, description="embedding paths (run)")}
    if twin is not None:
        spaces["twin"] = embed_paths(twin, clips, description="embedding paths (twin)")
    distinct = torch.unique(clips.videos)
    order = distinct[torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))]
    is_tuning = torch.isin(clips.videos, order[: max(1, round(TUNING_SHARE * len(distinct)))])
    tuning, scored = is_tuning.nonzero().flatten(), (~is_tuning).nonzero().flatten()
    bootstrap = Bootstrap(clips.videos[scored], seed=seed)
    num_draws = max(num_samples, NUM_DRAWS)
    longest = clips.num_steps
    states = {name: space.contexts for name, space in spaces.items()}
    drawn = sampled_paths(model, states["run"][scored], num_samples=num_draws, horizon=longest, seed=seed)
    means = {"run": mean_paths(model, states["run"], horizon=longest)}
    if twin is not None:
        means["twin"] = mean_paths(twin, states["twin"], horizon=longest)
    found = []
    for horizon in range(2, longest + 1):
        every = clips.probabilities[horizon - 1].float()
        level = _Level(spaces, horizon, every, tuning, scored, bootstrap, num_samples=num_samples, num_draws=num_draws)
        rows = [level.row("samples", "samples of this model", "model", "run", one_point(drawn[:, :, :horizon]))]
        for name, title in (("run", "mean prediction of this model"), ("twin", "deterministic twin")):
            if name in means:
                answers = repeat(one_point(means[name][scored, :horizon]), "n d -> n k d", k=num_samples)
                rows.append(level.row("mean" if name == "run" else name, title, "control", name, answers))
        around = "run" if twin is None else "twin"
        rows.append(level.noise(one_point(means[around][:, :horizon]), around, seed=seed))
        if model.latent is not None:
            rows.append(level.posterior(model, seed=seed))
        rows.append(level.truth())
        found.append(
            {
                "steps": horizon,
                "frames": clips.last_frames[horizon - 1],
                "num_branches": every.shape[1],
                "num_possible": float((every > 0).sum(dim=1).double().mean()),
                "num_contexts": len(scored),
                "num_samples": num_samples,
                "rows": rows,
            }
        )
    return found


class _Level:
    """Scores rows at one horizon."""

    def __init__(
        self,
        spaces: dict[str, PathSpace],
        horizon: int,
        probabilities: Tensor,
        tuning: Tensor,
        scored: Tensor,
        bootstrap: Bootstrap,
        *,
        num_samples: int,
        num_draws: int,
    ) -> None:
        self.spaces, self.horizon, self.bootstrap = spaces, horizon, bootstrap
        self.tuning, self.scored = tuning, scored
        self.every, self.probabilities = probabilities, probabilities[scored]
        self.num_samples, self.num_draws = num_samples, num_draws
        self.branches = {name: space.branches(horizon) for name, space in spaces.items()}
        self.decoys = {name: space.decoys_of(horizon) for name, space in spaces.items()}

    def row(self, key: str, name: str, kind: str, space: str, draws: Tensor) -> dict[str, Any]:
        """One row from draws (n, K', S D), of which the first K are the samples."""
        branches, decoys, chances = (
            self.branches[space][self.scored],
            self.decoys[space][self.scored],
            self.probabilities,
        )
        samples = draws[:, : self.num_samples]
        frequencies = branch_frequencies(draws, branches, None, chances)
        return _entry(
            key,
            name,
            kind,
            {
                "coverage": self.bootstrap.mean(branch_coverage(samples, branches, decoys, chances)),
                "precision": self.bootstrap.mean(branch_precision(samples, branches, decoys, chances)),
                "calibration": self.bootstrap.mean(total_variation(frequencies, chances)),
                "calibration_pooled": self.bootstrap.total_variation(frequencies, chances),
            },
        )

    def noise(self, centres: Tensor, space: str, *, seed: int) -> dict[str, Any]:
        """Noise around the mean path, tuned for coverage on contexts that are not scored."""
        branches, decoys, chances = self.branches[space], self.decoys[space], self.every
        rows = self.tuning
        scale = tuned_scale(
            centres[rows],
            lambda samples: -branch_coverage(samples, branches[rows], decoys[rows], chances[rows]),
            num_samples=self.num_samples,
            seed=seed,
        )
        draws = noise_around(centres[self.scored], scale=scale, num_samples=self.num_draws, seed=seed + 1)
        return self.row("noise_coverage", "noise tuned for coverage", "control", space, draws)

    def posterior(self, model: FutureModel, *, seed: int) -> dict[str, Any]:
        """r inferred at each step from a true future, drawn at random."""
        generator = torch.Generator().manual_seed(seed)
        told = torch.multinomial(self.probabilities, self.num_draws, replacement=True, generator=generator)  # (n, K')
        paths = rearrange(self.branches["run"][self.scored], "n m (s d) -> n m s d", s=self.horizon)
        futures = unit_steps(paths)[torch.arange(len(told))[:, None], told]
        draws = told_paths(model, self.spaces["run"].contexts[self.scored], futures, seed=seed)
        return self.row("posterior", "posterior (sees the future)", "oracle", "run", one_point(draws))

    def truth(self) -> dict[str, Any]:
        """Exact draws from the true distribution, in expectation."""
        chances = self.probabilities
        pooled = oracles.expected_pooled_total_variation(chances, self.num_draws)
        return _entry(
            "truth",
            "truth (exact draws)",
            "oracle",
            {
                "coverage": self.bootstrap.mean(oracles.expected_coverage(chances, self.num_samples)),
                "precision": Interval(1.0, 1.0, 1.0),
                "calibration": self.bootstrap.mean(oracles.expected_total_variation(chances, self.num_draws)),
                "calibration_pooled": Interval(pooled, pooled, pooled),
            },
        )


def unit_steps(paths: Tensor) -> Tensor:
    """Undo the scale of `one_point` after its steps were taken apart: (..., S, D) of unit norm."""
    return paths * paths.shape[-2] ** 0.5


def _entry(key: str, name: str, kind: str, metrics: dict[str, Interval]) -> dict[str, Any]:
    return {"key": key, "name": name, "kind": kind, "metrics": {name: one.json() for name, one in metrics.items()}}
