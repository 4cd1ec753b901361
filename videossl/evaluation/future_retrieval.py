"""Future retrieval: pick what happened out of a crowd of clips, given only the sampled futures."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from videossl.evaluation.shapes import check_beside, check_samples, check_sums_to_one, cosines, unit

ROWS_AT_ONCE = 64


def retrieval_ranks(
    samples: Tensor,
    futures: Tensor,
    decoys: Tensor | None = None,
    *,
    temperature: float = 0.01,
    weights: Tensor | None = None,
) -> Tensor:
    """Rank of the future of each context among its decoys and the futures of all other contexts.

    A candidate c scores `log sum_k w_k exp(cos(x_k, c) / temperature)`: how dense the samples are around it.

    Args:
        samples: (n, K, D) sampled futures; L2-normalised here, any scale.
        futures: (n, D) what happened in each context; the candidates of every context.
        decoys: (n, J, D) candidates of one context only; None: none.
        temperature: Width of the kernel, > 0. Small, as by default: the nearest sample decides. Wide: what lies amid
            the samples scores best, even where none of them is.
        weights: (n, K) of the samples, summing to one; None: equal.

    Returns:
        (n,) float, 1 is best, 1 + J + (n - 1) worst. A tie counts half a rank, so a collapsed encoder, for which all
        candidates look the same, ends in the middle and not at the top.
    """
    decoys = _checked_decoys(samples, futures, decoys)
    if weights is not None:
        check_sums_to_one("weights", weights)
    if temperature <= 0:
        raise ValueError(f"expected a temperature > 0, got {temperature}.")
    points, crowd, own = unit(samples), unit(futures), unit(decoys)
    log_weights = torch.full_like(points[..., 0], -math.log(points.shape[1])) if weights is None else weights.log()
    ranks = []
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        candidates = torch.cat([cosines(points[rows], crowd), cosines(points[rows], own[rows])], dim=-1)  # (b, K, n+J)
        scores = torch.logsumexp(candidates / temperature + log_weights[rows, :, None], dim=1)  # (b, n + J)
        true = torch.arange(len(points), device=points.device)[rows, None]
        score = scores.gather(1, true)
        better, equal = (scores > score).sum(dim=1), (scores == score).sum(dim=1) - 1
        ranks.append(1 + better + equal / 2)
    return torch.cat(ranks)


def _checked_decoys(samples: Tensor, futures: Tensor, decoys: Tensor | None) -> Tensor:
    """The decoys (B, J, D), J = 0 for none; refuse what does not fit together."""
    check_samples(samples)
    check_beside(samples, "futures", futures, "B D")
    decoys = futures[:, None][:, :0] if decoys is None else decoys
    check_beside(samples, "decoys", decoys, "B J D")
    return decoys


class FutureRetrieval(Metric):
    """Hit rates and mean reciprocal rank of the true future; higher is better, range [0, 1].

    `hit_at_k = mean_i [rank_i <= k]`, `mrr = mean_i 1 / rank_i` with ranks from `retrieval_ranks`; the video-text
    retrieval scores, here for contexts and their own futures, as in predictive coding (DPC, arXiv:1909.04656, asks
    it against clips of the same video at other times: give those as decoys). With N = n + J candidates chance is
    k / N for the hit rates and `sum_{r=1..N} 1/r / N` for the mean reciprocal rank. All contexts seen by all
    processes are candidates, so the value does not depend on how they were batched.

    Args:
        temperature: See `retrieval_ranks`.
        tops: The k of the hit rates.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    samples: list[Tensor]
    futures: list[Tensor]
    decoys: list[Tensor]

    def __init__(self, *, temperature: float = 0.01, tops: tuple[int, ...] = (1, 5)) -> None:
        super().__init__()
        self.temperature = temperature
        self.tops = tops
        self.add_state("samples", [], dist_reduce_fx="cat")
        self.add_state("futures", [], dist_reduce_fx="cat")
        self.add_state("decoys", [], dist_reduce_fx="cat")

    def update(self, samples: Tensor, futures: Tensor, decoys: Tensor | None = None) -> None:
        """Add contexts: samples (B, K, D), futures (B, D), decoys (B, J, D) or None in every call."""
        decoys = _checked_decoys(samples, futures, decoys)
        self.samples.append(samples)
        self.futures.append(futures)
        self.decoys.append(decoys)

    def compute(self) -> dict[str, Tensor]:
        """`hit_at_<k>` for every k of `tops`, and `mrr`; each ()."""
        ranks = retrieval_ranks(
            dim_zero_cat(self.samples),
            dim_zero_cat(self.futures),
            dim_zero_cat(self.decoys),
            temperature=self.temperature,
        )
        hits = {f"hit_at_{top}": (ranks <= top).float().mean() for top in self.tops}
        return {**hits, "mrr": (1 / ranks).mean()}
