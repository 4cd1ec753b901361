"""AdamW with proper weight-decay groups, and a learning rate that warms up and falls as a cosine."""

import math

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay matrices only: biases, gains of normalisation and single vectors are not pulled to zero."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def adamw(module: nn.Module, *, learning_rate: float, weight_decay: float, fused: bool | None = None) -> AdamW:
    """AdamW (arXiv:1711.05101) over the trainable parameters of `module`.

    Args:
        module: What is trained.
        learning_rate: Of the first step, before any schedule.
        weight_decay: Of matrices.
        fused: One kernel for all parameters: less time a step, which tells where networks are small. Not under
            Lightning, which cannot clip gradients of it where they are scaled ("16-mixed").
    """
    return AdamW(parameter_groups(module, weight_decay), lr=learning_rate, betas=(0.9, 0.95), fused=fused)


def warmup_cosine(optimizer: Optimizer, *, warmup_steps: int, max_steps: int, final_share: float = 0.01) -> LambdaLR:
    """Rise linearly over `warmup_steps`, then fall as half a cosine to `final_share` of the peak at `max_steps`."""

    def share(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = min(1.0, (step - warmup_steps) / max(1, max_steps - warmup_steps))
        return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * done))

    return LambdaLR(optimizer, share)
