"""How much a nat of the latent costs: a fixed price with a warm-up, or a controller that holds the KL at a budget."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from videossl.errors import UsageError


class Beta(nn.Module, ABC):
    """Weight of the latent's cost (KL, or open gates) for every pair of views. Its state is in buffers: checkpoints."""

    @abstractmethod
    def weights(self, num_pairs: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weights at this step, (P,), detached; of the type of the KL that they weigh."""

    @abstractmethod
    def update(self, kl: Tensor) -> None:
        """One training step is over; kl (P,) is its mean KL of every pair in nats."""


class FixedBeta(Beta):
    """`beta * min(1, step / warmup_steps)` at training step 1, 2, ...: the published schedule (arXiv:2602.02381).

    A fixed beta that is right early in training is too large late, when little alignment is left to gain: watch
    `kl_nats`, or use `InformationBudget`.

    Args:
        beta: Weight after the warm-up, >= 0.
        warmup_steps: Training steps until it is reached; 0 for none.
    """

    steps: Tensor

    def __init__(self, beta: float = 0.05, warmup_steps: int = 0) -> None:
        super().__init__()
        if not 0 <= beta < math.inf or warmup_steps < 0:
            raise UsageError(f"expected beta >= 0 and warmup_steps >= 0, got {beta} and {warmup_steps}.")
        self.beta = beta
        self.warmup_steps = warmup_steps
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def weights(self, num_pairs: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The same weight for every pair, (P,)."""
        reached = ((self.steps + 1).to(dtype) / max(self.warmup_steps, 1)).clamp(max=1.0)
        return (self.beta * reached).expand(num_pairs)

    @torch.no_grad()
    def update(self, kl: Tensor) -> None:  # noqa: ARG002 - a fixed price asks nobody
        """Advance the warm-up by one step."""
        self.steps += 1


class InformationBudget(Beta):
    """Holds the KL of every pair at a budget: after each step `log beta += rate * clip((KL - nats) / nats, -1, 1)`.

    Args:
        nats: Budget of one pair, > 0. A choice among M equally likely futures needs log(M) nats. With a sparse latent
            the unit is expected open gates, not nats.
        initial_beta: Where every pair's beta starts.
        rate: Largest change of log(beta) in a step: 0.01 lets beta change tenfold in 230 steps.
        lowest_beta: Beta stays at or above it, so that it comes back soon where a latent had nothing to tell for long.
        highest_beta: Beta stays at or below it.
    """

    log_beta: Tensor

    def __init__(
        self,
        nats: float,
        initial_beta: float = 0.05,
        rate: float = 0.01,
        lowest_beta: float = 1e-5,
        highest_beta: float = 100.0,
    ) -> None:
        super().__init__()
        if not 0 < nats < math.inf or not 0 < rate < math.inf or not 0 < lowest_beta <= initial_beta <= highest_beta:
            raise UsageError(
                f"expected nats > 0, rate > 0 and 0 < lowest_beta <= initial_beta <= highest_beta, got nats={nats}, "
                f"rate={rate}, betas {lowest_beta}, {initial_beta}, {highest_beta}. For no penalty: FixedBeta(beta=0)."
            )
        self.nats = nats
        self.initial_beta = initial_beta
        self.rate = rate
        self.lowest_beta = lowest_beta
        self.highest_beta = highest_beta
        # (P,) from the first batch on; the number of pairs is the objective's and the data's to say.
        self.register_buffer("log_beta", torch.empty(0))

    def _pairs(self, num_pairs: int) -> Tensor:
        if len(self.log_beta) == 0:
            # In place, so that whoever holds this buffer (distributed training does) goes on holding it.
            with torch.no_grad():
                self.log_beta.resize_(num_pairs).fill_(math.log(self.initial_beta))
        if len(self.log_beta) != num_pairs:
            raise UsageError(
                f"expected {len(self.log_beta)} pairs of views, as this controller has seen, got {num_pairs}. "
                f"Keep the views and the graph of the run that is resumed."
            )
        return self.log_beta

    def weights(self, num_pairs: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Beta of every pair, (P,).

        Raises:
            UsageError: The number of pairs has changed.
        """
        return self._pairs(num_pairs).to(dtype).exp()

    @torch.no_grad()
    def update(self, kl: Tensor) -> None:
        """Raise beta where the KL (P,), in nats, is above the budget, lower it where it is below."""
        log_beta = self._pairs(len(kl))
        error = ((kl.to(log_beta) - self.nats) / self.nats).clamp(-1, 1)
        # A step whose loss was not a number (mixed precision skips it) must not poison the controller for good.
        log_beta += self.rate * error.nan_to_num(nan=0.0)
        log_beta.clamp_(math.log(self.lowest_beta), math.log(self.highest_beta))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "log_beta")
        if isinstance(saved, Tensor):
            with torch.no_grad():
                self.log_beta.resize_(saved.shape)  # before the first batch it is empty
        super()._load_from_state_dict(state_dict, prefix, *args)
