"""The rows of the table: the model, the controls that it must beat, and the oracles that it cannot."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange, repeat
from torch import Tensor

from videossl.evaluation.branch_coverage import branch_coverage
from videossl.evaluation.check_model import checked_futures
from videossl.evaluation.energy_score import energy_score
from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.noise import noise_around, tuned_scale
from videossl.evaluation.protocol import FutureModel, StratifiedModel, device_of
from videossl.evaluation.readout import MotionReadout
from videossl.evaluation.space import Space
from videossl.evaluation.trajectory_energy import trajectory_energy

Kind = Literal["model", "control", "oracle"]
SAMPLES_AT_ONCE = 16_384
NUM_DRAWS = 256


@dataclass(frozen=True)
class Prediction:
    """One row: K sampled futures of every scored context.

    Attributes:
        key: Short name for programs.
        name: Name for people.
        kind: What the row is for.
        space: Name of the space in which the samples lie.
        note: One sentence on what it is.
        samples: (n, K, D). For the truth itself: its M branches, scored exactly and not by draws.
        weights: (n, M) probabilities of the truth's branches; None for all other rows: K equal samples.
        draws: (n, K', D), K' > K, of which `samples` are the first K: for frequencies and densities, which few samples
            would say coarsely. None: `samples` are all that there is to say.
        told: (n, K'), the branch that each of `draws` was told; None where nothing was told.
        independent: The samples of a context are independent draws; scores that count on it are not given otherwise.
    """

    key: str
    name: str
    kind: Kind
    space: str
    note: str
    samples: Tensor
    weights: Tensor | None = None
    draws: Tensor | None = None
    told: Tensor | None = None
    independent: bool = True

    @property
    def many(self) -> Tensor:
        """`draws` where there are some, else `samples`."""
        return self.samples if self.draws is None else self.draws


@torch.inference_mode()
def prior_samples(model: FutureModel, states: Tensor, *, num_samples: int, seed: int) -> Tensor:
    """Sampled futures one step ahead, (n, D) -> (n, K, D) on the CPU. Sees contexts only and asks the prior only."""
    return _one_step(model.sample_futures, states.to(device_of(model)), num_samples=num_samples, seed=seed)


@torch.inference_mode()
def stratified_samples(model: StratifiedModel, states: Tensor, *, num_samples: int, seed: int) -> Tensor:
    """As `prior_samples`, the K samples of a context spread evenly."""
    sample = functools.partial(model.sample_futures, stratified=True)
    return _one_step(sample, states.to(device_of(model)), num_samples=num_samples, seed=seed)


def _one_step(sample: Callable[..., Tensor], states: Tensor, *, num_samples: int, seed: int) -> Tensor:
    """Futures one step ahead, not too many at a time: (n, D) -> (n, K, D) on the CPU."""
    parts = []
    for number, part in enumerate(torch.split(states, max(1, SAMPLES_AT_ONCE // num_samples))):
        given = sample(part, num_samples=num_samples, horizon=1, seed=seed + number)
        parts.append(checked_futures("sample_futures", given, part, K=num_samples, S=1)[:, :, 0])
    return torch.cat(parts).float().cpu()


@torch.inference_mode()
def mean_predictions(model: FutureModel, states: Tensor) -> Tensor:
    """The one prediction for each state: (n, D) -> (n, D) on the CPU."""
    given = model.mean_future(states.to(device_of(model)))
    return checked_futures("mean_future", given, states).float().cpu()


@torch.inference_mode()
def posterior_samples(
    model: FutureModel, space: Space, probabilities: Tensor | None, *, num_samples: int, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Futures predicted with r inferred from a true future: what a perfect prior would give with this latent.

    Where the branches are known, each of the K samples is told a branch drawn from the true distribution; otherwise
    all are told the observed future.

    Args:
        model: With a latent.
        space: The contexts in its own space.
        probabilities: (n, M) of the branches, None where they are not known.
        num_samples: K.
        seed: Of the draws.

    Returns:
        Samples (n, K, D), and the branch that each was told, (n, K), or None.
    """
    told = None
    futures = repeat(space.futures, "n d -> n k d", k=num_samples)
    if space.branches is not None and probabilities is not None:
        generator = torch.Generator().manual_seed(seed)
        told = torch.multinomial(probabilities.float(), num_samples, replacement=True, generator=generator)  # (n, K)
        futures = space.branches.gather(1, repeat(told, "n k -> n k d", d=futures.shape[2]))
    contexts = repeat(space.contexts, "n d -> (n k) d", k=num_samples)
    device, at_once = device_of(model), SAMPLES_AT_ONCE
    batches = zip(
        torch.split(contexts, at_once),
        torch.split(rearrange(futures, "n k d -> (n k) d"), at_once),
        strict=True,
    )
    parts = []
    for number, (context, future) in enumerate(batches):
        given = model.posterior_futures(context.to(device), future.to(device), num_samples=1, seed=seed + number)
        parts.append(checked_futures("posterior_futures", given, context, K=1)[:, 0])
    return rearrange(torch.cat(parts).float().cpu(), "(n k) d -> n k d", k=num_samples), told


class Predictors:
    """Makes the rows for the scored contexts of one evaluation.

    Args:
        spaces: All contexts, embedded by "run", "random" and, with a twin, "twin".
        readouts: Of the same spaces, to tune the noise in px; empty where motion cannot be read.
        held_out: Probabilities and true motion of the branches are read from it.
        tuning: Contexts on which the noise is tuned.
        scored: Contexts that are predicted; none of `tuning`.
        num_samples: K.
        seed: Of all draws.
    """

    def __init__(
        self,
        spaces: dict[str, Space],
        readouts: Mapping[str, MotionReadout],
        held_out: HeldOut,
        *,
        tuning: Tensor,
        scored: Tensor,
        num_samples: int,
        seed: int,
    ) -> None:
        self.spaces, self.readouts = spaces, readouts
        self.scored = {name: space[scored] for name, space in spaces.items()}
        self.has_branches = held_out.has_branches
        self.probabilities = held_out.branch_probabilities
        self.trajectories = held_out.trajectories
        self.tuning_rows, self.scored_rows = tuning, scored
        self.num_samples, self.seed = num_samples, seed
        self.num_draws = max(num_samples, NUM_DRAWS)

    def all(self, model: FutureModel, twin: FutureModel | None, untrained: FutureModel | None) -> list[Prediction]:
        """Every row that these models and this world allow, the model's own first.

        Args:
            model: The run's model.
            twin: The same without a latent, trained alike; the noise then goes around its prediction.
            untrained: The same architecture with random weights; None: no such row.
        """
        rows = [self.samples(model), *self.stratified(model), self.mean(model)]
        if twin is not None:
            rows.append(self.twin(twin))
        rows += self.noise(model, "run") if twin is None else self.noise(twin, "twin")
        rows.append(self.copy())
        if untrained is not None:
            rows.append(self.random(untrained))
        if model.latent is not None:
            rows.append(self.posterior(model))
        return rows + self.truth()

    def samples(self, model: FutureModel) -> Prediction:
        """What the model itself says."""
        note = f"{self.num_samples} futures of each context, r drawn from the prior."
        if model.latent is None:
            note = f"This model is deterministic: its one prediction, {self.num_samples} times."
        samples, draws = self._drawn(model, self.scored["run"].contexts)
        return Prediction("samples", "samples of this model", "model", "run", note, samples, draws=draws)

    def stratified(self, model: FutureModel) -> list[Prediction]:
        """What the model says if its samples share out what it holds possible; empty for a model that cannot."""
        if model.latent is None or not isinstance(model, StratifiedModel) or not model.stratifies:
            return []
        if "stratified" not in inspect.signature(model.sample_futures).parameters:  # a subclass with a form of its own
            return []
        contexts = self.scored["run"].contexts
        samples = stratified_samples(model, contexts, num_samples=self.num_samples, seed=self.seed)
        note = (
            f"{self.num_samples} futures of each context, spread evenly over the prior (sample_futures with "
            "stratified=True): as likely as those above, but not independent, so that fewer are missed by chance."
        )
        return [Prediction("stratified", "the same, stratified", "model", "run", note, samples, independent=False)]

    def mean(self, model: FutureModel) -> Prediction:
        """The model forced to one answer."""
        answers = mean_predictions(model, self.scored["run"].contexts)
        note = "The same model with r at the mean of its prior: one answer for each context."
        return Prediction("mean", "mean prediction of this model", "control", "run", note, self._copies(answers))

    def twin(self, twin: FutureModel) -> Prediction:
        """A model that never could give more than one answer."""
        answers = mean_predictions(twin, self.scored["twin"].contexts)
        note = "The same model trained without r: one answer for each context."
        return Prediction("twin", "deterministic twin", "control", "twin", note, self._copies(answers))

    def noise(self, model: FutureModel, space: str) -> list[Prediction]:
        """Noise around the mean prediction, its scale tuned for each of two metrics on contexts that are not scored."""
        centres = mean_predictions(model, self.spaces[space].contexts)
        tuned = self.spaces[space][self.tuning_rows]
        branches, decoys = tuned.branches, tuned.decoys
        probabilities = None if self.probabilities is None else self.probabilities[self.tuning_rows]
        trajectories = None if self.trajectories is None else self.trajectories[self.tuning_rows]
        readout = self.readouts.get(space)

        def energy(samples: Tensor) -> Tensor:
            if trajectories is not None and readout is not None:
                return trajectory_energy(readout(samples), trajectories.branches, probabilities)
            return energy_score(samples, tuned.futures if branches is None else branches, probabilities)

        losses: dict[str, Callable[[Tensor], Tensor]] = {"energy score": energy}
        if branches is not None and self.has_branches:
            losses = {"coverage": lambda samples: -branch_coverage(samples, branches, decoys, probabilities)} | losses
        whose = "the twin's prediction" if space == "twin" else "this model's mean prediction"
        rows = []
        for goal, loss in losses.items():
            scale = tuned_scale(centres[self.tuning_rows], loss, num_samples=self.num_samples, seed=self.seed)
            draws = noise_around(centres[self.scored_rows], scale=scale, num_samples=self.num_draws, seed=self.seed + 1)
            note = f"Noise around {whose}, its norm ({scale:.2f}) tuned for the {goal} on held-out contexts not scored."
            key = f"noise_{goal.split()[0]}"
            samples = draws[:, : self.num_samples]
            rows.append(Prediction(key, f"noise tuned for {goal}", "control", space, note, samples, draws=draws))
        return rows

    def copy(self) -> Prediction:
        """Nothing changes."""
        samples = self._copies(self.scored["run"].contexts)
        return Prediction("copy", "copy of the context", "control", "run", "Predicts that nothing changes.", samples)

    def random(self, untrained: FutureModel) -> Prediction:
        """Nothing learnt."""
        samples, draws = self._drawn(untrained, self.scored["random"].contexts)
        note = "The same architecture with random weights."
        return Prediction("random", "untrained model", "control", "random", note, samples, draws=draws)

    def posterior(self, model: FutureModel) -> Prediction:
        """The model with r inferred from a future that it should have foreseen."""
        probabilities = None if self.probabilities is None else self.probabilities[self.scored_rows]
        draws, told = posterior_samples(
            model, self.scored["run"], probabilities, num_samples=self.num_draws, seed=self.seed + 1
        )
        if not self.has_branches:
            told = None  # which of many draws of a continuous distribution it was is nothing to hit
        how = "the observed future itself" if told is None else "true futures drawn at random"
        note = f"The same model with r inferred from {how}: what a perfect prior could reach."
        samples, name = draws[:, : self.num_samples], "posterior (sees the future)"
        return Prediction("posterior", name, "oracle", "run", note, samples, draws=draws, told=told)

    def truth(self) -> list[Prediction]:
        """Exact draws from the true distribution, in a world where it is known."""
        branches = self.scored["run"].branches
        if branches is None or self.probabilities is None:
            return []
        note = (
            f"{self.num_samples} draws from the true distribution: what independent samples cannot beat in "
            "expectation, exactly."
        )
        weights = self.probabilities[self.scored_rows].float()
        return [Prediction("truth", "truth (exact draws)", "oracle", "run", note, branches, weights)]

    def _drawn(self, model: FutureModel, contexts: Tensor) -> tuple[Tensor, Tensor | None]:
        """K samples, and the many of which they are the first; a deterministic model has no more to say."""
        if model.latent is None:
            return prior_samples(model, contexts, num_samples=self.num_samples, seed=self.seed), None
        draws = prior_samples(model, contexts, num_samples=self.num_draws, seed=self.seed)
        return draws[:, : self.num_samples], draws

    def _copies(self, answers: Tensor) -> Tensor:
        return repeat(answers, "n d -> n k d", k=self.num_samples)
