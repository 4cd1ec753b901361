"""Which of the futures of its own context a sample lands on: what the three branch metrics share."""

import torch
from torch import Tensor

from videossl.evaluation.shapes import check_beside, check_samples, check_sums_to_one, check_tensor, cosines, unit

NOWHERE = -1


def lands_on(
    samples: Tensor, branches: Tensor, decoys: Tensor | None = None, probabilities: Tensor | None = None
) -> Tensor:
    """The true branch that each sample lands on, or `NOWHERE`.

    A sample lands on the nearest (by cosine) of the true branches and the decoys of its context; where that is a
    decoy, or a branch of probability zero, it lands nowhere. On an exact tie a decoy wins, so that a collapsed
    encoder, for which all futures look the same, gets no credit.

    Args:
        samples: (B, K, D) sampled futures; any scale.
        branches: (B, M, D) all possible futures of each context.
        decoys: (B, J, D) futures of the same context that cannot happen; None: none.
        probabilities: (B, M) of the branches; None: all can happen.

    Returns:
        (B, K) int64 in -1 ... M - 1.
    """
    check_samples(samples)
    check_beside(samples, "branches", branches, "B M D")
    if decoys is None:
        decoys = branches[:, :0]
    check_beside(samples, "decoys", decoys, "B J D")
    candidates = torch.cat([decoys, branches], dim=1)  # decoys first: argmax takes the first of equals
    nearest = cosines(unit(samples), unit(candidates)).argmax(dim=-1) - decoys.shape[1]  # (B, K)
    landed = nearest.clamp_min(NOWHERE)
    if probabilities is None:
        return landed
    possible = check_probabilities(branches, probabilities) > 0  # (B, M)
    return torch.where(possible.gather(1, landed.clamp_min(0)), landed, NOWHERE)


def check_probabilities(branches: Tensor, probabilities: Tensor | None) -> Tensor:
    """The probabilities (B, M) beside branches (B, M, D), equal ones where None; refuse what does not sum to one."""
    check_tensor("branches", branches)
    if probabilities is None:
        return branches.new_full(branches.shape[:2], 1 / branches.shape[1], dtype=torch.float32)
    if probabilities.shape != branches.shape[:2]:
        raise ValueError(
            f"expected probabilities of shape {tuple(branches.shape[:2])} = (B, M) beside branches, "
            f"got {tuple(probabilities.shape)}. Give one for each branch of each context."
        )
    check_sums_to_one("probabilities", probabilities)
    return probabilities


def landing_counts(landings: Tensor, num_branches: int) -> Tensor:
    """How many samples landed on each branch: (B, K) -> (B, M) int64, without those that landed nowhere."""
    counts = landings.new_zeros(len(landings), num_branches + 1)
    counts.scatter_add_(1, landings + 1, torch.ones_like(landings))
    return counts[:, 1:]
