"""Steering: does r inferred in one video do the same to another context?"""

from functools import partial
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from videossl.evaluation.branch_accuracy import branch_accuracy
from videossl.evaluation.check_model import checked_futures
from videossl.evaluation.protocol import FutureModel, SteerableModel, device_of
from videossl.evaluation.space import Space
from videossl.probing import Bootstrap

STATES_AT_ONCE = 4096
FEWEST_CONTEXTS = 8


@torch.inference_mode()
def steered_futures(model: SteerableModel, givers: Tensor, given: Tensor, takers: Tensor) -> Tensor:
    """Futures of some contexts with r inferred from others: (n, M, D).

    Args:
        model: Infers r and takes it.
        givers: (n, D) states of the contexts that r is inferred in.
        given: (n, M, D) their futures.
        takers: (n, D) states of the contexts that r is applied to.
    """
    device, num_given = device_of(model), given.shape[1]
    columns = (
        repeat(givers, "n d -> (n m) d", m=num_given),
        rearrange(given, "n m d -> (n m) d"),
        repeat(takers, "n d -> (n m) d", m=num_given),
    )
    parts = []
    for giver, future, taker in zip(*(torch.split(each, STATES_AT_ONCE) for each in columns), strict=True):
        latent = model.infer_latent(giver.to(device), future.to(device))
        steered = model.sample_futures(taker.to(device), num_samples=1, latent=latent)
        parts.append(checked_futures("sample_futures", steered, taker, K=1, S=1)[:, 0, 0])
    return rearrange(torch.cat(parts).float().cpu(), "(n m) d -> n m d", m=num_given)


def steering(
    model: FutureModel,
    space: Space,
    probabilities: Tensor,
    bootstrap: Bootstrap,
    samples: Tensor,
    *,
    seed: int,
    moves_freely: Tensor | None = None,
) -> dict[str, Any] | None:
    """The entry `steering` of `metrics.json`.

    r of every branch m of one context is applied to another context: `rate` is how often that takes branch m there,
    among all its branches and decoys. Branches count by how probable they are in the context that is steered.

    Args:
        model: Scored.
        space: The scored contexts in its space.
        probabilities: (n, M) of the branches.
        bootstrap: Of the same contexts.
        samples: (n, K, D) of the prior.
        seed: Of who steers whom.
        moves_freely: (n,) bool, where nothing bounces, see `World.moves_freely`; None: not known.

    Returns:
        `rate`; `own`, the oracle: r inferred in the steered context itself; `unsteered`, the control: how often a
        sample of the prior takes a branch drawn at random from the truth; each a value with its interval. `chance`:
        of landing anywhere alike; `num_contexts` in which all branches can happen: only these give and take.
        `num_free`: in how many of them nothing bounces, None if it is not known; `free`: the same figures where only
        those give and take, None if they are all, or too few, or not known. None in all for a model that cannot be
        steered, or with too few such contexts.
    """
    if space.branches is None or model.latent is None or not isinstance(model, SteerableModel):
        return None
    possible = (probabilities > 0).all(dim=1)
    among = partial(_among, model, space, probabilities, bootstrap, samples, seed=seed)
    found = among(possible)
    if found is None:
        return None
    if moves_freely is None:
        return found | {"num_free": None, "free": None}
    free = possible & moves_freely
    are_all = torch.equal(free, possible)
    return found | {"num_free": int(free.sum()), "free": None if are_all else among(free)}


def _among(
    model: SteerableModel,
    space: Space,
    probabilities: Tensor,
    bootstrap: Bootstrap,
    samples: Tensor,
    chosen: Tensor,
    *,
    seed: int,
) -> dict[str, Any] | None:
    """The entry of the contexts that are chosen, (n,) bool; None: too few."""
    if int(chosen.sum()) < FEWEST_CONTEXTS:
        return None
    rows = chosen.nonzero().flatten()
    space, weights, samples = space[rows], probabilities[rows], samples[rows]
    branches, decoys = space.branches, space.decoys
    assert branches is not None  # `steering` has looked
    n, num_branches = branches.shape[:2]
    # A shift along a random circle of all contexts: each gives once and takes once, none takes from itself.
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    giver = torch.empty_like(order)
    giver[order] = order.roll(1)
    told = torch.arange(num_branches).expand(n, -1)

    def taken(futures: Tensor) -> Tensor:
        """(n, k, M, D) futures, in each of which r was of branch m -> how often that was taken, (n,)."""
        hits = [
            branch_accuracy(futures[:, :, m], told[:, [m]].expand(-1, futures.shape[1]), branches, decoys)
            for m in range(num_branches)
        ]
        return (torch.stack(hits, dim=1) * weights).sum(dim=1)

    def rate(givers: Tensor) -> Tensor:
        return taken(steered_futures(model, space.contexts[givers], branches[givers], space.contexts)[:, None])

    values = {
        "rate": rate(giver),
        "own": rate(torch.arange(n)),
        "unsteered": taken(repeat(samples, "n k d -> n k m d", m=num_branches)),
    }
    found: dict[str, Any] = {}
    for name, value in values.items():
        everywhere = torch.zeros(len(chosen))
        everywhere[chosen] = value.float()
        found[name] = bootstrap.ratio(everywhere, chosen.float()).json()
    num_candidates = num_branches + (0 if decoys is None else decoys.shape[1])
    return found | {"chance": 1 / num_candidates, "num_contexts": n}
