"""A latent of few codes at work in an objective: every code is tried, and the posterior is exact.

Shapes: C codes, P ordered pairs of the view graph, B videos, D embedding.
"""

import torch
from torch import Tensor

from videossl.objectives.base import MultiViewObjective
from videossl.objectives.latent import Inferred
from videossl.objectives.present import mean_along
from videossl.objectives.view_graph import ViewGraph
from videossl.transition.precision import at_least_float32
from videossl.transition.protocols import CodedLatent, Editor


@torch.no_grad()
def exact_posterior(prior: Tensor, closeness: Tensor, beta: Tensor) -> Tensor:
    """The q that minimises `E_q[loss] + beta KL(q || p)`: `q[c] = p[c] exp(-loss[c] / beta) / sum of them`.

    Args:
        prior: (P, B, C), logits of p.
        closeness: (P, B, C), minus the loss of each code, in nats, up to what is the same for all codes.
        beta: (P,), price of a nat, > 0. Near 0 the closest code takes all; 1 is Bayes' rule.

    Returns:
        (P, B, C), logits of q.
    """
    return torch.log_softmax(prior, dim=-1) + closeness / beta[:, None, None].clamp_min(1e-6)


def infer_codes(
    latent: CodedLatent,
    editor: Editor,
    objective: MultiViewObjective,
    embeddings: Tensor,
    contexts: Tensor,
    futures: Tensor,
    beta: Tensor,
    *,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
    present: Tensor | None = None,
) -> Inferred:
    """r ~ q(r | context, future), q exact: expectation maximisation.

    The editor is asked what each code makes of the context; what that costs says how likely the code was
    (`exact_posterior`). Editor and encoder then learn from the expectation of the loss over q where the objective can
    tell guesses apart (`MultiViewObjective.losses`): its difference to the loss of the code that was drawn is
    added to `learned`. Elsewhere, and where views are missing, they learn from the drawn code, which is noisier. No
    gradient has to pass through a sampled code, and no code stays unused for want of one. The prior and the posterior
    net learn q by `KL(q || p) + KL(q || net)`, without gradient to the states.

    Args:
        latent: Codes, a prior, and a posterior that learns.
        editor: (state, r) -> prediction.
        objective: What the predictions are trained by.
        embeddings: (V, B, D), raw.
        contexts: (P, B, D), states of every pair's anchor.
        futures: (P, B, D), states that the posterior net reads.
        beta: (P,), price of a nat.
        targets: (V, B, D), the teacher's; None: the embeddings.
        generator: Where draws come from.
        present: (P, B) bool: means are over videos of which both views are there. None: all are.

    Returns:
        `Inferred`; `charged` has no gradient.
    """
    seen, told = contexts.detach(), futures.detach()
    prior, net = latent.prior(seen).logits, latent.posterior(seen, told).logits  # (P, B, C)
    codes = latent.codes().to(contexts)
    shape = (*contexts.shape[:-1], codes.shape[-1])
    guesses = torch.stack([editor(contexts, code.expand(shape)) for code in codes])  # (C, P, B, D)
    # A view that is missing would be a negative of every guess.
    losses = objective.losses(embeddings, guesses, targets) if present is None else None
    with torch.no_grad():
        if losses is None:
            graph = ViewGraph.of(objective.graph, len(embeddings))
            costs = -objective.closeness(guesses, graph.targets(embeddings if targets is None else targets))
        else:
            costs = losses
        q = torch.log_softmax(exact_posterior(prior, -at_least_float32(costs.permute(1, 2, 0)), beta), -1)
        waiting = torch.empty_like(q).exponential_(generator=generator)
        chosen = (waiting.log() - q).argmin(-1)  # the smallest waiting time with rate q[c] is c with q[c]
    kl, unlearned = (mean_along(1, _divergence(q, logits), present) for logits in (prior, net))  # (P,)
    learned = (kl + unlearned).mean()
    if losses is not None:
        of_chosen = losses.gather(0, chosen[None])[0]
        expected = (q.exp().permute(2, 0, 1) * losses).sum(0)
        learned = learned + (expected - of_chosen).mean()
    measured = kl.detach()
    used = torch.exp(q).mean(dim=(0, 1))
    terms = {
        "kl_nats": measured.mean(),
        "kl_nats_per_pair": measured,
        "posterior_net_nats": unlearned.detach().mean(),
        "codes_used": torch.exp(-(used * used.clamp_min(1e-12).log()).sum()),
    }
    return Inferred(codes[chosen], measured, measured, terms, learned)


def _divergence(q: Tensor, logits: Tensor) -> Tensor:
    """KL(q || p) of log q (..., C), fixed, and the logits of p: (...)."""
    return (q.exp() * (q - torch.log_softmax(logits, dim=-1))).sum(-1)
