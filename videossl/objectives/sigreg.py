"""SIGReg of LeJEPA (arXiv:2511.08544): sketched isotropic Gaussian regularisation.

Embeddings are isotropic Gaussian if and only if every projection of them is (Cramer and Wold), so they are projected
on random unit directions and every projection is compared with N(0, 1) by the statistic of Epps and Pulley (1983).
Shapes: V views, B videos, D embedding, K directions.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from videossl.errors import UsageError
from videossl.objectives.base import Loss
from videossl.objectives.contrast import at_least_float32, full_precision

# Projections (videos x directions) in memory at a time; a few tensors of this size for every knot live beside them.
_TILE_ON_CPU = 2**17
_TILE_ELSEWHERE = 2**23


class _MeanStatistic(torch.autograd.Function):
    """Mean over views and directions of the statistic, with its gradient in closed form.

    A tile of directions at a time, value and gradient together: what is kept for the backward pass is one tensor of
    the size of the embeddings, whatever the number of directions and knots.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, embeddings: Tensor, directions: Tensor, knots: list[float], weights: list[float]
    ) -> Tensor:
        num_views, num_videos, _ = embeddings.shape
        limit = _TILE_ON_CPU if embeddings.device.type == "cpu" else _TILE_ELSEWHERE
        width = max(1, limit // (num_views * num_videos))
        wanted = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        gradient = torch.zeros_like(embeddings) if wanted else None
        total = embeddings.new_zeros(())
        for tile in directions.split(width):  # type: ignore[no-untyped-call]
            projected = embeddings @ tile.T  # (V, B, k)
            slope = torch.zeros_like(projected)
            for knot, weight in zip(knots, weights, strict=True):
                angles = projected * knot
                real, imaginary = angles.cos(), angles.sin()
                # The characteristic function of the sample at this knot, minus that of N(0, 1), which is real.
                distance = real.mean(1, keepdim=True) - math.exp(-(knot**2) / 2)
                phase = imaginary.mean(1, keepdim=True)
                total += weight * num_videos * (distance.square() + phase.square()).sum()
                if gradient is not None:
                    slope += (2 * weight * knot) * (phase * real - distance * imaginary)
            if gradient is not None:
                gradient += slope @ tile
        count = num_views * len(directions)
        if gradient is not None:
            ctx.save_for_backward(gradient.div_(count))
        return total / count

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError("SIGReg has first derivatives only: its gradient is computed with its value.")
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None, None


def random_directions(num_directions: int, dim: int, *, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Directions of unit norm, uniform on the sphere: (K, D), of the type and on the device of `like`."""
    # Drawn in float32 whatever comes, so that a float64 run sees the same directions.
    drawn = torch.randn(num_directions, dim, generator=generator, device=like.device, dtype=torch.float32)
    return nn.functional.normalize(drawn.to(like.dtype), dim=-1)


def sigreg(
    embeddings: Tensor,
    *,
    num_directions: int = 1024,
    generator: torch.Generator | None = None,
    directions: Tensor | None = None,
    limit: float = 5.0,
    num_knots: int = 17,
) -> Tensor:
    """`mean_V mean_K B * integral |phi_B(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt`, t from -limit to limit.

    `phi_B(t) = mean_j exp(i t a . z[j])`, over the B videos, is the empirical characteristic function of the
    embeddings along direction a; the integral is by the trapezoidal rule. Embeddings are not normalised: N(0, I) is
    what is asked of them. There is no logarithm and no negative.

    Levels: for samples of N(0, I) the expectation is `sqrt(2 pi) - sqrt(2 pi / 3)` = 1.059, whatever B. Collapse at the
    origin gives `B (sqrt(2 pi) - 2 sqrt(pi) + sqrt(2 pi / 3))` = 0.409 B; samples of a very large scale 0.822 B at
    the default knots (1.447 B in the limit of many).

    Relation to published values: the defaults are the paper's Algorithm 1 as others reproduce it (17 knots in [-5, 5],
    weight exp(-t^2 / 2), factor B; its text was not at hand) with the 1024 directions of the authors' README. The
    authors' code (rbalestr-lab/lejepa at a74fcb99) integrates over [0, 3] with 17 knots and doubles it: `limit=3,
    num_knots=33` here, 1.052 expected for N(0, I).

    Time is linear in B, D and K; extra memory is linear in B and D and does not depend on K or the knots.

    Args:
        embeddings: (V, B, D), raw. Every view is tested alone.
        num_directions: K >= 1.
        generator: Where the directions come from, on the device of the embeddings. None: torch's own, which has to be
            in the same state in all processes; the module `SIGReg` takes care of that.
        directions: (K, D) of unit norm, instead of a draw; no gradient reaches them.
        limit: Largest t, > 0.
        num_knots: Points of the rule over [-limit, limit], odd, >= 3.

    Returns:
        Tensor of shape (), >= 0, float32 or float64. It is differentiable once.

    Raises:
        UsageError: Wrong shapes, or a number outside its range.
    """
    _check(num_directions, limit, num_knots)
    if embeddings.ndim != 3 or embeddings.shape[1] < 1:
        raise UsageError(
            f"expected embeddings of shape (V, B, D), got {tuple(embeddings.shape)}. Stack the views on the first axis."
        )
    dim = embeddings.shape[-1]
    if directions is not None and (directions.ndim != 2 or directions.shape[-1] != dim):
        raise UsageError(f"expected directions of shape (K, D) with D = {dim}, got {tuple(directions.shape)}.")
    # The integrand is even in t and zero at t = 0: knots above 0 count twice, the end half as much.
    half = num_knots // 2
    knots = [limit * place / half for place in range(1, half + 1)]
    weights = [2 * (limit / half) * math.exp(-(knot**2) / 2) for knot in knots]
    weights[-1] /= 2
    with full_precision(embeddings.device):
        points = at_least_float32(embeddings)
        if directions is None:
            directions = random_directions(num_directions, dim, like=points, generator=generator)
        return _MeanStatistic.apply(  # type: ignore[no-untyped-call]
            points, directions.detach().to(points.dtype), knots, weights
        )


def _check(num_directions: int, limit: float, num_knots: int) -> None:
    if num_directions < 1 or not 0 < limit < math.inf or num_knots < 3 or num_knots % 2 == 0:
        raise UsageError(
            f"expected num_directions >= 1, limit > 0 and an odd num_knots >= 3, got num_directions={num_directions}, "
            f"limit={limit}, num_knots={num_knots}."
        )


class SIGReg(nn.Module):
    """SIGReg with fresh directions at every call in training mode. See `sigreg` for the mathematics.

    The directions of a call depend on `seed` and on the number of training calls before it, and on nothing else: all
    processes draw the same, and a resumed run goes on where it was. In eval mode the directions stay as they are.
    The number is a Python integer, because a tensor on a device would have to be waited for; it is in the state_dict
    under `_extra_state`.

    Terms: `sigreg`.

    Args:
        num_directions: K.
        limit: Largest t of the integral.
        num_knots: Points of the trapezoidal rule, odd.
        seed: Seed of the directions, >= 0.

    Raises:
        UsageError: A number outside its range.
    """

    def __init__(self, num_directions: int = 1024, limit: float = 5.0, num_knots: int = 17, seed: int = 0) -> None:
        super().__init__()
        _check(num_directions, limit, num_knots)
        if seed < 0:
            raise UsageError(f"expected seed >= 0, got {seed}.")
        self.num_directions = num_directions
        self.limit = limit
        self.num_knots = num_knots
        self.seed = seed
        self.step = 0

    def forward(self, embeddings: Tensor) -> Loss:
        """Raw embeddings (V, B, D) -> Loss."""
        value = sigreg(embeddings, directions=self._directions(embeddings), limit=self.limit, num_knots=self.num_knots)
        return Loss(value, {"sigreg": value.detach()})

    def _directions(self, embeddings: Tensor) -> Tensor:
        # torch.compile breaks its graph here: a generator and a counter are no part of one.
        generator = torch.Generator(embeddings.device).manual_seed(1_000_003 * self.seed + self.step)
        if self.training:
            self.step += 1
        like = at_least_float32(embeddings.detach())
        return random_directions(self.num_directions, embeddings.shape[-1], like=like, generator=generator)

    def get_extra_state(self) -> Tensor:
        """The number of training calls, as a tensor: a checkpoint then needs no pickle."""
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on after that many training calls."""
        self.step = int(state)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"num_directions={self.num_directions}, limit={self.limit}, num_knots={self.num_knots}, seed={self.seed}"
