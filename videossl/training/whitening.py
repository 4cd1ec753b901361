"""Networks that read embeddings, given them whitened while they are fitted: the same functions, which learn faster.

Embeddings of unit norm vary in few directions by much and in most by little: where things are against how they move. A
network that sees them as they are learns what the small ones say last. Whitening is linear, and so is the first layer:
it is taken into the weights when the fit is over, and a model is never made of anything else.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from videossl.transition import GaussianLatent, GaussianPrior, MixturePrior, MLPEditor

SMALLEST_VARIANCE = 1e-4  # as a share of the greatest: directions that vary by less are not made larger any more


class WhitenedLinear(nn.Module):
    """The map of a linear layer, with weights for whitened inputs.

    Args:
        layer: Weights (O, I); it is not changed.
        mean: (I,) of the inputs.
        whitening: (I, I): `(inputs - mean) @ whitening` has covariance 1.
        unwhitening: (I, I), its inverse.
    """

    def __init__(self, layer: nn.Linear, mean: Tensor, whitening: Tensor, unwhitening: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("whitening", whitening)
        weight = layer.weight.detach()
        self.weight = nn.Parameter(weight @ unwhitening.T)
        self.bias = nn.Parameter(layer.bias.detach() + weight @ mean)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        return linear((inputs - self.mean) @ self.whitening, self.weight, self.bias)

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """The same map as a linear layer."""
        weight = self.weight @ self.whitening.T
        # Not drawn first: that would change what is drawn later.
        layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta", dtype=weight.dtype)
        layer = layer.to_empty(device=weight.device)
        layer.weight.copy_(weight)
        layer.bias.copy_(self.bias - weight @ self.mean)
        return layer


def whiten_inputs(part: nn.Module, contexts: Tensor, futures: Tensor) -> None:
    """Replace the first layers of an editor, a latent or a prior that read embeddings; other parts stay as they are.

    Args:
        part: Computes the same afterwards. `unwhiten` it when it is fitted.
        contexts: (n, D) of unit norm.
        futures: (n, D) of unit norm.
    """
    if isinstance(part, MLPEditor):
        _whiten_first(part.net, [part.scale * contexts], num_others=part.latent_dim)
    elif isinstance(part, GaussianLatent):
        _whiten_first(part.posterior_net, [part.scale * contexts, part.scale * futures])
        whiten_inputs(part.prior_net, contexts, futures)
    elif isinstance(part, GaussianPrior):
        _whiten_first(part, [part.scale * contexts])
    elif isinstance(part, MixturePrior):
        _whiten_first(part.net, [part.scale * contexts])


def unwhiten(part: nn.Module) -> None:
    """Make linear layers of all `WhitenedLinear` in it."""
    for net in part.modules():
        if isinstance(net, nn.Sequential) and len(net) and isinstance(net[0], WhitenedLinear):
            net[0] = net[0].plain()


def _whiten_first(net: nn.Sequential, inputs: list[Tensor], num_others: int = 0) -> None:
    """Whiten each of the inputs (n, D) that come side by side; `num_others` that come after them stay."""
    first = net[0]
    num_inputs = sum(each.shape[1] for each in inputs) + num_others
    if not isinstance(first, nn.Linear) or first.bias is None or first.in_features != num_inputs:
        return  # somebody's own network, of which nothing is known
    means, whitenings, unwhitenings = zip(*_statistics(inputs, num_others), strict=True)
    blocks = (torch.cat(means), torch.block_diag(*whitenings), torch.block_diag(*unwhitenings))  # type: ignore[no-untyped-call]
    net[0] = WhitenedLinear(first, *(block.to(first.weight) for block in blocks))


def _statistics(inputs: list[Tensor], num_others: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Mean (D,), whitening and unwhitening (D, D) of each, in float64."""
    for each in inputs:
        wide = each.cpu().double()  # some devices have no float64
        variances, directions = torch.linalg.eigh(torch.cov(wide.T))
        scales = (variances.clamp_min(0) + SMALLEST_VARIANCE * variances.max()).sqrt().clamp_min(1e-12)
        # Symmetric ones: the signs of eigenvectors, which are anybody's choice, cancel.
        yield wide.mean(0), (directions / scales) @ directions.T, (directions * scales) @ directions.T
    if num_others:
        same = torch.eye(num_others, dtype=torch.float64)
        yield torch.zeros(num_others, dtype=torch.float64), same, same
