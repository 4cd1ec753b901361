"""Aligned logits and energies of pairs of views, tile by tile: what every contrastive objective is made of.

The B x B logits of a pair of views are never held: forward and backward compute them a tile at a time, so that the
extra memory is linear in B. The logits of views (l, m) are the transpose of those of (m, l), so one tile serves both:
over all pairs of V views that takes 2 (V B)^2 D multiply-adds for value and gradient, where a whole matrix and its
gradient take 3, and tiles for every ordered pair 4.
Shapes: A anchors' views, C candidates' views, Q pairs of them, B videos, D embedding.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

# Side of a tile: about what the caches of one CPU core hold; on other devices enough to keep them busy.
TILE_ON_CPU = 512
TILE_ELSEWHERE = 4096


class Logits(NamedTuple):
    """What the contrast of pairs of views comes down to, in nats.

    Attributes:
        aligned: (Q, B), the logits of the positives, `anchors[a, i] . candidates[c, i]`.
        energies: (Q, B), of the negatives, `log sum_{j != i} exp(anchors[a, i] . candidates[c, j])`.
    """

    aligned: Tensor
    energies: Tensor


def logits_of_pairs(
    anchors: Tensor,
    candidates: Tensor,
    pairs: Sequence[tuple[int, int]],
    *,
    bound: float | None = None,
    logit_limit: float | None = None,
    present: tuple[Tensor, Tensor] | None = None,
) -> Logits:
    """Aligned logits and log-energies of every pair (a, c), with gradients to anchors and candidates.

    Args:
        anchors: (A, B, D), scaled so that the inner product is the logit (see `contrast.scaled`); B >= 2.
        candidates: (C, B, D), scaled alike. If it is the same tensor as `anchors`, the pairs (a, c) and (c, a) share
            their logits, and so do the two halves of (a, a).
        pairs: Q different pairs (a, c) of a row of `anchors` and a row of `candidates`.
        bound: Known upper limit of every |logit|, if there is one. Where exp() can then not overflow, one exponential
            serves both directions and no maximum is needed.
        logit_limit: Clip logits to [-limit, limit], with no gradient outside (the authors' AdaSSL does, at 20).
        present: ((A, B), (C, B)) bool: what is not present is no negative, and its own energy is log 0 = -inf.

    Returns:
        Two tensors of shape (Q, B), of the type of `anchors`.
    """
    if candidates is not anchors and anchors.dtype != candidates.dtype:
        both = torch.promote_types(anchors.dtype, candidates.dtype)
        anchors, candidates = anchors.to(both), candidates.to(both)
    if logit_limit is not None:
        bound = logit_limit if bound is None else min(bound, logit_limit)
    flat = [index for pair in pairs for index in pair]
    anchors_present, candidates_present = (None, None) if present is None else present
    single = bound is not None and bound <= _safe_exponent(anchors.dtype)
    others = None if candidates is anchors else candidates
    return Logits(*_contrast(anchors, others, flat, single, logit_limit, anchors_present, candidates_present))


def log_energies(
    anchors: Tensor, candidates: Tensor, pairs: Sequence[tuple[int, int]], *, bound: float | None = None
) -> Tensor:
    """The energies of `logits_of_pairs` alone: `log sum_{j != i} exp(anchors[a, i] . candidates[c, j])`, (Q, B)."""
    return logits_of_pairs(anchors, candidates, pairs, bound=bound).energies


def _safe_exponent(dtype: torch.dtype) -> float:
    """Largest |logit| for which a sum of many exp() and its inverse stay in the normal range of the type."""
    return 60.0 if dtype == torch.float32 else 340.0


class _Tile(NamedTuple):
    """Videos `rows` of anchors a against videos `columns` of candidates c, and the pairs that it is a part of."""

    anchors: int
    candidates: int
    rows: slice
    columns: slice
    row_pair: int  # number of the pair (a, c), whose energies are sums over the columns
    column_pair: int  # number of the pair (c, a), whose energies are sums over the rows; -1 if it is not wanted
    diagonal: slice | None  # the videos that meet themselves here: rows and columns are the same
    mirror: int  # number of the pair (c, a) if it is wanted and another than (a, c), else -1


class _Tiles:
    """Logits of one tile after another, in one piece of memory."""

    def __init__(
        self,
        anchors: Tensor,
        candidates: Tensor | None,
        limit: float | None,
        present: tuple[Tensor | None, Tensor | None],
    ) -> None:
        self.anchors = anchors
        self.candidates = anchors if candidates is None else candidates
        self.shared = candidates is None
        self.limit = limit
        self.absent = [None if which is None else ~which for which in present]
        self.side = min(TILE_ON_CPU if anchors.device.type == "cpu" else TILE_ELSEWHERE, anchors.shape[1])
        self.memory = anchors.new_empty((2, self.side**2))

    def plan(self, pairs: list[int]) -> Iterator[_Tile]:
        """The tiles in which every pair is covered, each once."""
        number = {pair: index for index, pair in enumerate(zip(pairs[::2], pairs[1::2], strict=True))}
        blocks = [slice(at, at + self.side) for at in range(0, self.anchors.shape[1], self.side)]
        for (a, c), pair in number.items():
            mirror = number.get((c, a), -1) if self.shared else -1
            if -1 < mirror < pair:
                continue  # the tiles of (c, a) cover it
            own = mirror == pair  # a view with itself: a symmetric matrix, its upper half is enough
            for top, rows in enumerate(blocks):
                for left, columns in enumerate(blocks):
                    if own and left < top:
                        continue
                    diagonal = rows if left == top else None
                    column_pair = -1 if own and left == top else mirror
                    yield _Tile(a, c, rows, columns, pair, column_pair, diagonal, -1 if own else mirror)

    def logits(self, tile: _Tile, aligned: Tensor | None = None) -> Tensor:
        """(rows, columns), overwritten by the next call; -inf where there is no negative. Positives go to `aligned`."""
        x, y = self.anchors[tile.anchors, tile.rows], self.candidates[tile.candidates, tile.columns]
        logits = self.memory[0, : len(x) * len(y)].view(len(x), len(y))
        torch.mm(x, y.T, out=logits)
        if self.limit is not None:
            logits.clamp_(-self.limit, self.limit)
        if tile.diagonal is not None:
            if aligned is not None:
                aligned[tile.row_pair, tile.diagonal] = logits.diagonal()
                if tile.mirror >= 0:
                    aligned[tile.mirror, tile.diagonal] = logits.diagonal()
            logits.diagonal().fill_(-torch.inf)
        absent_anchors, absent_candidates = self.absent
        if absent_anchors is not None:
            logits.masked_fill_(absent_anchors[tile.anchors, tile.rows, None], -torch.inf)
        if absent_candidates is not None:
            logits.masked_fill_(absent_candidates[tile.candidates, None, tile.columns], -torch.inf)
        return logits

    def spare(self, logits: Tensor) -> Tensor:
        """A second piece of memory of the same shape."""
        return self.memory[1, : logits.numel()].view_as(logits)


@torch.library.custom_op("videossl::contrast", mutates_args=())
def _contrast(
    anchors: Tensor,
    candidates: Tensor | None,
    pairs: list[int],
    single: bool,
    limit: float | None,
    anchors_present: Tensor | None,
    candidates_present: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """An operator of its own, so that torch.compile takes it as it is instead of unrolling its tiles."""
    tiles = _Tiles(anchors, candidates, limit, (anchors_present, candidates_present))
    aligned = anchors.new_empty((len(pairs) // 2, anchors.shape[1]))
    energies = torch.full_like(aligned, 0.0 if single else -torch.inf)
    for tile in tiles.plan(pairs):
        logits = tiles.logits(tile, aligned)
        if single:
            logits.exp_()
            energies[tile.row_pair, tile.rows] += logits.sum(1)
            if tile.column_pair >= 0:
                energies[tile.column_pair, tile.columns] += logits.sum(0)
        else:
            _accumulate(energies[tile.row_pair, tile.rows], logits.logsumexp(1))
            if tile.column_pair >= 0:
                _accumulate(energies[tile.column_pair, tile.columns], logits.logsumexp(0))
    return aligned, energies.log_() if single else energies


def _accumulate(energies: Tensor, more: Tensor) -> None:
    energies.copy_(torch.logaddexp(energies, more))


@torch.library.custom_op("videossl::contrast_backward", mutates_args=())
def _contrast_backward(
    pull: Tensor,
    push: Tensor,
    aligned: Tensor,
    energies: Tensor,
    anchors: Tensor,
    candidates: Tensor | None,
    pairs: list[int],
    single: bool,
    limit: float | None,
    anchors_present: Tensor | None,
    candidates_present: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Gradients in anchors and candidates of gradients `pull` in the aligned logits and `push` in the energies.

    A gradient is a sum over videos with weights that nearly cancel, of points that are nearly the same if they have
    collapsed: what all points have in common is left out of the sum, and comes in once at the end, times the sum of
    the weights. Otherwise its rounding would hide the gradient of a collapsed batch in float32.
    """
    tiles = _Tiles(anchors, candidates, limit, (anchors_present, candidates_present))
    to_anchors = torch.zeros_like(anchors)
    to_others = to_anchors if candidates is None else torch.zeros_like(candidates)
    common_x, common_y = anchors.mean((0, 1)), tiles.candidates.mean((0, 1))
    xs = anchors - common_x
    ys = xs if candidates is None else candidates - common_y
    row_sums = anchors.new_zeros(anchors.shape[:2])
    column_sums = row_sums if candidates is None else anchors.new_zeros(candidates.shape[:2])
    if limit is not None:
        pull = pull.masked_fill(aligned.abs() >= limit, 0.0)
    # What is absent has an energy of log 0 and no gradient; a finite stand-in keeps inf - inf out of the tiles.
    energies = energies.masked_fill(energies == -torch.inf, 0.0)
    scale = push * torch.exp(-energies) if single else push
    for tile in tiles.plan(pairs):
        logits = tiles.logits(tile)
        outside = None if limit is None else logits.abs() >= limit
        weights = tiles.spare(logits)
        down = scale[tile.row_pair, tile.rows, None]
        across = None if tile.column_pair < 0 else scale[tile.column_pair, None, tile.columns]
        if single:
            logits.exp_()
            if across is None:
                torch.mul(logits, down, out=weights)
            else:
                torch.add(down, across, out=weights).mul_(logits)
        else:
            torch.sub(logits, energies[tile.row_pair, tile.rows, None], out=weights).exp_().mul_(down)
            if across is not None:
                logits.sub_(energies[tile.column_pair, None, tile.columns]).exp_()
                weights.addcmul_(logits, across)
        if outside is not None:
            weights.masked_fill_(outside, 0.0)
        if tile.diagonal is not None:
            own = weights.diagonal()
            own.copy_(pull[tile.row_pair, tile.diagonal])
            if tile.mirror >= 0:
                own += pull[tile.mirror, tile.diagonal]
        rows, columns = (tile.anchors, tile.rows), (tile.candidates, tile.columns)
        to_anchors[rows].addmm_(weights, ys[columns])
        row_sums[rows] += weights.sum(1)
        to_others[columns].addmm_(weights.T, xs[rows])
        column_sums[columns] += weights.sum(0)
    to_anchors.addcmul_(row_sums[..., None], common_y)
    if candidates is not None:
        to_others.addcmul_(column_sums[..., None], common_x)
    return to_anchors, anchors.new_empty(0) if candidates is None else to_others


@_contrast.register_fake
def _(anchors: Tensor, _candidates: Tensor | None, pairs: list[int], *_settings: Any) -> tuple[Tensor, Tensor]:
    shape = (len(pairs) // 2, anchors.shape[1])
    return anchors.new_empty(shape), anchors.new_empty(shape)


@_contrast_backward.register_fake
def _(_1: Any, _2: Any, _3: Any, _4: Any, anchors: Tensor, candidates: Tensor | None, *_settings: Any) -> Any:
    return torch.empty_like(anchors), anchors.new_empty(0) if candidates is None else torch.empty_like(candidates)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    anchors, candidates, ctx.pairs, ctx.single, ctx.limit, *presence = inputs
    ctx.save_for_backward(*output, anchors, candidates, *presence)


def _backward(ctx: Any, pull: Tensor, push: Tensor) -> tuple[Tensor | None, ...]:
    aligned, energies, anchors, candidates, *presence = ctx.saved_tensors
    to_anchors, to_others = _contrast_backward(
        pull, push, aligned, energies, anchors, candidates, ctx.pairs, ctx.single, ctx.limit, *presence
    )
    return to_anchors, None if candidates is None else to_others, None, None, None, None, None


_contrast.register_autograd(_backward, setup_context=_save)
