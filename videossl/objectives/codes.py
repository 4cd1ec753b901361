"""A latent of few codes at work in an objective: every code is tried, and the posterior is exact.

Shapes: C codes, P ordered pairs of the view graph, B videos, D embedding.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from videossl.objectives.latent import Inferred
from videossl.objectives.present import mean_along
from videossl.transition.precision import at_least_float32
from videossl.transition.protocols import CodedLatent, Editor

Closeness = Callable[[Tensor, Tensor], Tensor]


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
    closeness: Closeness,
    contexts: Tensor,
    futures: Tensor,
    targets: Tensor,
    beta: Tensor,
    *,
    generator: torch.Generator | None = None,
    present: Tensor | None = None,
) -> Inferred:
    """r ~ q(r | context, future), q exact: expectation maximisation, with a draw of r in place of the expectation.

    The editor is asked what each code makes of the context; how close that comes to the target says how likely the
    code was (`exact_posterior`). The editor and the encoder then learn from the code that is drawn, by the objective.
    Straight-through gradients through a sampled code are not needed, and no code stays unused for want of them. The
    prior and the posterior net learn q by `KL(q || p) + KL(q || net)`, without gradient to the states.

    Args:
        latent: Codes, a prior, and a posterior that learns.
        editor: (state, r) -> prediction.
        closeness: Of predictions (..., D) and targets (..., D), in nats: (...).
        contexts: (P, B, D), states of every pair's anchor.
        futures: (P, B, D), states that the posterior net reads.
        targets: (P, B, D), raw: what is to be predicted.
        beta: (P,), price of a nat.
        generator: Where draws come from.
        present: (P, B) bool: means are over videos of which both views are there. None: all are.

    Returns:
        `Inferred`; `charged` has no gradient, `learned` is what the nets minimise.
    """
    seen, told = contexts.detach(), futures.detach()
    prior, net = latent.prior(seen).logits, latent.posterior(seen, told).logits  # (P, B, C)
    codes = latent.codes().to(seen)
    with torch.no_grad():
        each = [closeness(editor(seen, code.expand(*seen.shape[:-1], -1)), targets) for code in codes]
        q = torch.log_softmax(exact_posterior(prior, at_least_float32(torch.stack(each, dim=-1)), beta), dim=-1)
        waiting = torch.empty_like(q).exponential_(generator=generator)
        drawn = codes[(waiting.log() - q).argmin(-1)]  # the smallest waiting time with rate q[c] is c with q[c]
    kl, unlearned = (mean_along(1, _divergence(q, logits), present) for logits in (prior, net))  # (P,)
    measured = kl.detach()
    used = torch.exp(q).mean(dim=(0, 1))
    terms = {
        "kl_nats": measured.mean(),
        "kl_nats_per_pair": measured,
        "posterior_net_nats": unlearned.detach().mean(),
        "codes_used": torch.exp(-(used * used.clamp_min(1e-12).log()).sum()),
    }
    return Inferred(drawn, measured, measured, terms, (kl + unlearned).mean())


def _divergence(q: Tensor, logits: Tensor) -> Tensor:
    """KL(q || p) of log q (..., C), fixed, and the logits of p: (...)."""
    return (q.exp() * (q - torch.log_softmax(logits, dim=-1))).sum(-1)
