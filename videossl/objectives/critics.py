"""Score critics: how well x and y belong together, for all pairs of a batch, in memory that has a limit.

Shapes: X and Y embeddings (B and B in every objective here), Dx and Dy their dimensions, H width of the hidden layers.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from videossl.errors import UsageError
from videossl.objectives.contrast import full_precision

Activation = Literal["relu", "tanh", "gelu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def mlp(in_dim: int, hidden_dim: int, out_dim: int, num_hidden: int, activation: Activation) -> nn.Sequential:
    """Linear - activation, `num_hidden` times, then Linear.

    Raises:
        UsageError: A width or number of layers below 1, or an unknown activation.
    """
    if min(in_dim, hidden_dim, out_dim, num_hidden) < 1:
        raise UsageError(
            f"expected widths and a number of hidden layers of at least 1, got in_dim={in_dim}, "
            f"hidden_dim={hidden_dim}, out_dim={out_dim}, num_hidden={num_hidden}."
        )
    if activation not in _ACTIVATIONS:
        raise UsageError(f"expected an activation out of {', '.join(_ACTIVATIONS)}, got {activation!r}.")
    layers: list[nn.Module] = []
    for index in range(num_hidden):
        layers += [nn.Linear(in_dim if index == 0 else hidden_dim, hidden_dim), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(hidden_dim, out_dim))


class PairCritic(nn.Module):
    """Scores `S[i, j] = f(x_j, y_i)`, where f is an MLP on [x, y] (arXiv:2306.05268, the authors' critics).

    Nothing of shape (X Y, Dx + Dy) is built: the first layer is linear, so it is applied to x and to y apart and
    the sums are broadcast. Hidden layers are (rows, X, H) for as many rows of y at a time as `max_elements` allows,
    computed again in the backward pass if there is more than one such part. The values are the same whatever the
    limit; beside them only the scores (X Y numbers) grow with the square of the batch. Arithmetic is in float32 at
    least, with autocast off: scores are subtracted from one another. x and y are taken as they are, not normalised.

    Relation to the authors' code: the same function. Their CLUB critic takes [y, x]: the columns of its first weight
    are in the other order.

    Args:
        x_dim: Dx.
        y_dim: Dy.
        hidden_dim: H; 512 as published.
        num_hidden: Number of hidden layers; 2 as published.
        activation: "relu" (as published), "tanh" or "gelu".
        max_elements: Numbers of one hidden layer held at once; at least one row of y, X H, always is.

    Raises:
        UsageError: A width or limit below 1, or an unknown activation.
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        *,
        hidden_dim: int = 512,
        num_hidden: int = 2,
        activation: Activation = "relu",
        max_elements: int = 2**24,
    ) -> None:
        super().__init__()
        if min(x_dim, y_dim, max_elements) < 1:
            raise UsageError(
                f"expected x_dim, y_dim and max_elements of at least 1, got {x_dim}, {y_dim} and {max_elements}."
            )
        self.x_dim = x_dim
        self.y_dim = y_dim
        self.hidden_dim = hidden_dim
        self.max_elements = max_elements
        self.layers = mlp(x_dim + y_dim, hidden_dim, 1, num_hidden, activation)

    def forward(self, x: Tensor, y: Tensor, *, frozen: bool = False) -> Tensor:
        """Score all pairs.

        Args:
            x: (X, Dx), any scale.
            y: (Y, Dy).
            frozen: Give gradients to x and y but none to the weights.

        Returns:
            Tensor of shape (Y, X), float32 or float64: row i has y_i with every x.

        Raises:
            UsageError: Wrong shapes.
        """
        if x.ndim != 2 or y.ndim != 2 or (x.shape[1], y.shape[1]) != (self.x_dim, self.y_dim):
            raise UsageError(
                f"expected x of shape (X, {self.x_dim}) and y of shape (Y, {self.y_dim}), got {tuple(x.shape)} and "
                f"{tuple(y.shape)}. Make the critic for the dimensions of its embeddings."
            )
        with full_precision(x.device):
            first, *rest = self._weights(x, y, frozen)
            from_x = F.linear(x.to(first.dtype), first[:, : self.x_dim])  # (X, H)
            from_y = F.linear(y.to(first.dtype), first[:, self.x_dim :], rest[0])  # (Y, H)
            rows = max(1, self.max_elements // max(1, len(x) * self.hidden_dim))
            if rows >= len(y):
                return self._rows(from_x, from_y, *rest[1:])
            parts = [
                checkpoint(self._rows, from_x, part, *rest[1:], use_reentrant=False, preserve_rng_state=False)
                for part in torch.split(from_y, rows)
            ]
            return torch.cat(parts)

    def _weights(self, x: Tensor, y: Tensor, frozen: bool) -> list[Tensor]:
        """Weight, bias, weight, bias, ... in the precision of the arithmetic."""
        weights = [weight for layer in self.layers if isinstance(layer, nn.Linear) for weight in layer.parameters()]
        dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), weights[0].dtype)
        dtype = torch.promote_types(dtype, torch.float32)
        return [(weight.detach() if frozen else weight).to(dtype) for weight in weights]

    def _rows(self, from_x: Tensor, from_y: Tensor, *weights: Tensor) -> Tensor:
        """Some rows of the scores: (X, H), (rows, H) -> (rows, X)."""
        activation = self.layers[1]
        hidden = activation(from_y[:, None] + from_x)  # (rows, X, H)
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            hidden = activation(F.linear(hidden, weight, bias))
        return F.linear(hidden, *weights[-2:]).squeeze(-1)
