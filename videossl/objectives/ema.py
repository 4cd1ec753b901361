"""A teacher: a copy of a network that follows it slowly (BYOL, arXiv:2006.07733, section 3.1 and appendix J)."""

import copy
import math
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from videossl.errors import UsageError


def ema_decay(step: int, max_steps: int, base: float) -> float:
    """`1 - (1 - base) (cos(pi t / T) + 1) / 2`: from about `base` at the first update to 1 at the last.

    Args:
        step: t >= 1, the number of this update: the first is 1 (the counter goes up before it is used, as in the
            authors' code of AdaSSL, arXiv:2602.02381). Beyond T it is T: the teacher stands still.
        max_steps: T >= 1, the number of updates of the whole training.
        base: Decay at the start, in [0, 1].

    Raises:
        UsageError: A number outside its range.
    """
    if step < 1 or max_steps < 1 or not 0 <= base <= 1:
        raise UsageError(
            f"expected step >= 1 (the first update is 1), max_steps >= 1 and base in [0, 1], got step={step}, "
            f"max_steps={max_steps}, base={base}. Update after a step of the optimizer, with its number."
        )
    progress = min(step, max_steps) / max_steps
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2


class Teacher(nn.Module):
    """A frozen copy of a network: `target <- target + (1 - decay)(online - target)` for every parameter.

    It is in eval mode always, its parameters never require a gradient and its outputs carry none. Its state_dict is
    that of the copy, under `module.`; the step is not in it, because the trainer has it. Keep the network's weights
    in float32: a bf16 weight does not notice a change of half a percent.

    Args:
        online: The network to follow; copied here, so give it as initialised (or as loaded).
        max_steps: Updates of the whole training, where the decay reaches 1.
        base: Decay at the start. 0.996 is BYOL's.
        buffers: What becomes of buffers (running statistics of batch normalisation). "copy": they are those of
            the online network after every update; the default, because a teacher in eval mode would normalise by the
            statistics of an untrained network otherwise. "keep": they stay as they are, only parameters are
            averaged, as in the authors' code. Without buffers the two are the same.
    """

    def __init__(
        self, online: nn.Module, max_steps: int, base: float = 0.996, buffers: Literal["copy", "keep"] = "copy"
    ) -> None:
        super().__init__()
        ema_decay(1, max_steps, base)  # refuses what cannot be a schedule before the training starts
        if buffers not in ("copy", "keep"):
            raise UsageError(f'expected buffers to be "copy" or "keep", got {buffers!r}.')
        self.max_steps = max_steps
        self.base = base
        self.buffers_follow = buffers == "copy"
        self.module = copy.deepcopy(online).requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Teacher":  # noqa: ARG002
        """Does nothing but stay in eval mode, whatever the module around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the copy gives, without gradient."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update(self, online: nn.Module, step: int) -> float:
        """Follow the online network by one step.

        Args:
            online: The network that this is a copy of; same parameters in the same order.
            step: Number of this update, the first is 1: steps of the optimizer done, the last one included.

        Returns:
            The decay that was used.

        Raises:
            UsageError: A network with other parameters, or a step below 1.
        """
        decay = ema_decay(step, self.max_steps, self.base)
        targets, sources = list(self.module.parameters()), list(online.parameters())
        if [target.shape for target in targets] != [source.shape for source in sources]:
            raise UsageError(
                f"expected the network that the teacher is a copy of, {len(targets)} parameters of the same shapes, "
                f"got {len(sources)}. Make a new Teacher when the network changes."
            )
        if targets:
            average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # one foreach for all
            average(tuple(targets), tuple(sources), 0)
        if self.buffers_follow:
            for target, source in zip(self.module.buffers(), online.buffers(), strict=True):
                target.copy_(source)
        return decay

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"max_steps={self.max_steps}, base={self.base}, buffers={'copy' if self.buffers_follow else 'keep'}"
