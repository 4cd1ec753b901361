"""A net's value and its divergence, exactly: the price of the density that a velocity field has."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Divergence:
    """A net of `mlp`, as a function of what its first layer is given: its value and its divergence, with gradients.

    The derivatives are written out: through torch's own forward derivative of LayerNorm wrong gradients flow back (the
    mean and deviation count as constants there).

    With two hidden layers the trace of the Jacobian has a form that needs three products with (H, H) matrices, where
    one derivative for every coordinate needs R. The Jacobian is `C D2 P2 B D1 P1 A`: C, B and A are the weights of the
    last, second and first layer, D1 and D2 are diagonal (the slope of GELU times the scale of LayerNorm), and
    `P = I - n n^T / H` takes the direction of the normalised n away (the mean is taken from A and B once for all). With
    the products written out, the diagonal part of the trace is `d2^T (B * (A C)^T) d1`, and the others are inner
    products.

    Args:
        first: A, (H, R): of the first layer, what x is multiplied with.
        net: The layers after the first, of `mlp` without dropout.
    """

    def __init__(self, first: Tensor, net: Sequence[nn.Module]) -> None:
        self.first = first
        self.norms = [layer for layer in net if isinstance(layer, nn.LayerNorm)]
        self.layers = [layer for layer in net if isinstance(layer, nn.Linear)]  # one behind each norm
        self.enter = first - first.mean(0)
        if len(self.layers) == 2:
            inner, last = self.layers
            self.inner = inner.weight - inner.weight.mean(0)
            self.diagonal = self.inner * (self.enter @ last.weight).T

    def __call__(self, x: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., R) and what is added to A x (..., H) -> value (..., R) and `sum_k d value_k / d x_k` (...)."""
        before = F.linear(x, self.first) + given
        return self._of_two(before) if len(self.layers) == 2 else self._by_coordinates(before)

    def _of_two(self, before: Tensor) -> tuple[Tensor, Tensor]:
        active, normal_1, slope_1 = _normalised_and_activated(before, self.norms[0])
        active, normal_2, slope_2 = _normalised_and_activated(self.layers[0](active), self.norms[1])
        leave, width = self.layers[1].weight, active.shape[-1]
        along_1 = F.linear(slope_1 * normal_1, self.inner)
        into_1 = normal_1 @ self.enter  # (..., R)
        out_of_2 = F.linear(slope_2 * normal_2, leave)  # (..., R)
        across = F.linear(slope_1 * F.linear(out_of_2, self.enter), self.inner)
        trace = (
            (slope_2 * F.linear(slope_1, self.diagonal)).sum(-1)
            - (into_1 * F.linear(slope_2 * along_1, leave)).sum(-1) / width
            - (normal_2 * across).sum(-1) / width
            + (normal_2 * along_1).sum(-1) * (into_1 * out_of_2).sum(-1) / width**2
        )
        return self.layers[1](active), trace

    def _by_coordinates(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """One derivative for every coordinate of x, (R, ..., H), beside the value."""
        changes = self.enter.T.reshape(-1, *[1] * (value.ndim - 1), value.shape[-1])
        for norm, layer in zip(self.norms, self.layers, strict=True):
            active, normal, slope = _normalised_and_activated(value, norm)
            changes = changes - changes.mean(-1, keepdim=True) - normal * (normal * changes).mean(-1, keepdim=True)
            value, changes = layer(active), F.linear(slope * changes, layer.weight)
        return value, changes.diagonal(dim1=0, dim2=-1).sum(-1)


def _normalised_and_activated(x: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor, Tensor]:
    """x (..., H) -> GELU(LayerNorm(x)), x less its mean over its deviation, and the first's slope in x less its mean.

    The last leaves out what the change of the deviation does.
    """
    centred = x - x.mean(-1, keepdim=True)
    inverse = torch.rsqrt(centred.square().mean(-1, keepdim=True) + norm.eps)
    normal = centred * inverse
    before = normal * norm.weight + norm.bias
    share = 0.5 * (1 + torch.erf(before / math.sqrt(2)))  # the standard normal's below it
    slope = share + before * torch.exp(-0.5 * before.square()) / math.sqrt(2 * math.pi)
    return before * share, normal, slope * norm.weight * inverse
