"""The multilayer perceptron that heads, latents and editors are made of."""

from torch import nn


def mlp(in_dim: int, hidden_dim: int, out_dim: int, *, num_hidden: int = 1, dropout: float = 0.0) -> nn.Sequential:
    """Linear - LayerNorm - GELU (- Dropout), `num_hidden` times, then Linear.

    Layer normalisation, because statistics of the batch would let a sample see its neighbours.
    """
    layers: list[nn.Module] = []
    for index in range(num_hidden):
        layers += [nn.Linear(in_dim if index == 0 else hidden_dim, hidden_dim), nn.LayerNorm(hidden_dim), nn.GELU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(hidden_dim if num_hidden else in_dim, out_dim))


def reset_mlp(net: nn.Sequential, *, zero_output: bool) -> None:
    """Draw fresh weights for a net of `mlp`; with `zero_output` it says 0 whatever comes in."""
    for layer in net:
        if isinstance(layer, nn.Linear | nn.LayerNorm):
            layer.reset_parameters()
    if zero_output:
        for parameter in net[-1].parameters():
            nn.init.zeros_(parameter)


def start_anew(module: nn.Module) -> None:
    """Draw fresh weights for a module and all in it: parts before the whole, whose own start has the last word."""
    for part in module.children():
        start_anew(part)
    reset = getattr(module, "reset_parameters", None)
    if reset is not None:
        reset()
