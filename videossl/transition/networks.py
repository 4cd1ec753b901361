"""The multilayer perceptron that heads, latents and editors are made of."""

from torch import nn


def mlp(in_dim: int, hidden_dim: int, out_dim: int, *, num_hidden: int = 1) -> nn.Sequential:
    """Linear - LayerNorm - GELU, `num_hidden` times, then Linear.

    Layer normalisation, because statistics of the batch would let a sample see its neighbours.
    """
    layers: list[nn.Module] = []
    for index in range(num_hidden):
        layers += [nn.Linear(in_dim if index == 0 else hidden_dim, hidden_dim), nn.LayerNorm(hidden_dim), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(hidden_dim, out_dim))


def reset_mlp(net: nn.Sequential, *, zero_output: bool) -> None:
    """Draw fresh weights for a net of `mlp`; with `zero_output` it says 0 whatever comes in."""
    for layer in net:
        if isinstance(layer, nn.Linear | nn.LayerNorm):
            layer.reset_parameters()
    if zero_output:
        for parameter in net[-1].parameters():
            nn.init.zeros_(parameter)
