"""Mathematics of the latent r: KL and reparameterised draws of diagonal Gaussians, straight-through gates.

Source: arXiv:2602.02381. A Gaussian is a tuple (mean, log_variance) of tensors (..., R); log-variances are clipped to
[-10, 10] here as in the authors' code (zero gradient outside), which keeps exp() finite whatever a network says.
"""

import torch
from torch import Tensor

from videossl.transition.precision import at_least_float32, full_precision

LOG_VARIANCE_LIMIT = 10.0
SMALLEST_UNIFORM = 1e-6  # the logistic noise of the gates stays within +-13.8, as published


def _clipped(log_variance: Tensor) -> Tensor:
    return at_least_float32(log_variance).clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


def kl_per_dimension(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor]) -> Tensor:
    """KL(posterior || prior) of every coordinate of the latent, in nats.

    Args:
        posterior: (mean, log_variance), (..., R) each.
        prior: (mean, log_variance), (..., R) each.

    Returns:
        Tensor of shape (..., R), >= 0, float32 or float64.
    """
    (q_mean, q_log_variance), (p_mean, p_log_variance) = posterior, prior
    with full_precision(q_mean.device):
        q, p = _clipped(q_log_variance), _clipped(p_log_variance)
        shift = at_least_float32(q_mean) - at_least_float32(p_mean)
        # expm1(d) - d: exp(d) - 1 - d cancels where posterior and prior agree, and that is where the latent dies.
        return 0.5 * (torch.expm1(q - p) - (q - p) + shift.square() * torch.exp(-p))


def kl_divergence(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor]) -> Tensor:
    """KL(posterior || prior) of diagonal Gaussians, summed over the R coordinates, in nats.

    Args:
        posterior: (mean, log_variance), (..., R) each.
        prior: (mean, log_variance), (..., R) each.

    Returns:
        Tensor of shape (...), one value a sample: an upper bound on what r tells of the future beyond the context.
    """
    return kl_per_dimension(posterior, prior).sum(-1)


def gaussian_sample(
    mean: Tensor, log_variance: Tensor, *, noise: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """One reparameterised draw `mean + noise * exp(log_variance / 2)`.

    Args:
        mean: (..., R).
        log_variance: (..., R).
        noise: (..., R) standard normal; None: drawn here.
        generator: Where the noise comes from if it is drawn here, on the device of `mean`.

    Returns:
        Tensor of shape (..., R), float32 or float64, with gradients to mean and log_variance.
    """
    with full_precision(mean.device):
        mean = at_least_float32(mean)
        if noise is None:
            noise = torch.empty_like(mean).normal_(generator=generator)
        return mean + noise * torch.exp(0.5 * _clipped(log_variance))


def expected_open_gates(logits: Tensor) -> Tensor:
    """Expected number of open gates, `sum_R sigmoid(logits)`: the penalty of the sparse latent.

    Args:
        logits: (..., R), log-odds that a gate is open.

    Returns:
        Tensor of shape (...), between 0 and R.
    """
    with full_precision(logits.device):
        return torch.sigmoid(at_least_float32(logits)).sum(-1)


def gate_sample(logits: Tensor, *, noise: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Straight-through Bernoulli gates: forward 0 or 1, backward the gradient of the relaxed gate.

    With `y = sigmoid(logits + log u - log(1 - u))`, u uniform, the gate is `1[y > 0.5]`, open with probability
    sigmoid(logits), and its gradient is that of y.

    Args:
        logits: (..., R).
        noise: (..., R) uniform in [0, 1], clipped to [1e-6, 1 - 1e-6]; None: drawn here.
        generator: Where the noise comes from if it is drawn here, on the device of `logits`.

    Returns:
        Tensor of shape (..., R) of zeros and ones, float32 or float64.
    """
    with full_precision(logits.device):
        logits = at_least_float32(logits)
        if noise is None:
            noise = torch.empty_like(logits).uniform_(generator=generator)
        noise = noise.clamp(SMALLEST_UNIFORM, 1 - SMALLEST_UNIFORM)
        relaxed = torch.sigmoid(logits + torch.log(noise) - torch.log1p(-noise))
        # Forward exactly 0 or 1: `hard - soft + soft` would be off by a rounding.
        return (relaxed > 0.5).to(relaxed.dtype) + (relaxed - relaxed.detach())
