"""Which prior is fitted to which latent."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.models import (
    CodebookLatent,
    GatePrior,
    GaussianLatent,
    GaussianPrior,
    MixturePrior,
    SharedMixturePrior,
    SparseGate,
    StandardNormalPrior,
)
from videossl.transition import GateMixture
from videossl.transition.sparse import VALUE_WIDTH, check_gate_prior

Made = Callable[[int, int], nn.Module]


def suited_prior(
    latent: nn.Module | None, asked: Made | None, named: Mapping[str, Any] | None
) -> tuple[Made | None, Mapping[str, Any] | None]:
    """Choose the prior to fit.

    A Gaussian latent gets a `MixturePrior` where it was trained with one Gaussian, of each context or of all (several
    futures are several modes), or with one mixture of all; trained with another prior, that one goes on. A sparse
    latent without a prior gets a `GatePrior`. Codes have a prior of every form there is, which goes on.

    Args:
        latent: Of the model.
        asked: Prior that the user wants; None: whatever suits.
        named: Its class_path and init_args, as a config has them.

    Returns:
        The class to start anew, and how a config names it; None and None: the prior that is there goes on.

    Raises:
        UsageError: No latent whose prior can be fitted, or one that cannot have the prior that is asked for.
    """
    if isinstance(latent, CodebookLatent):
        if asked is not None:
            raise UsageError("a CodebookLatent has a probability for every code as its prior. Leave refit.prior out.")
        return None, None
    if not isinstance(latent, GaussianLatent | SparseGate):
        kind = "no latent" if latent is None else f"a {type(latent).__name__}"
        raise UsageError(f"this model has {kind}: there is no prior to fit.")
    if asked is not None:
        tried_prior(asked, latent, "refit.prior")
        return asked, named
    if isinstance(latent, SparseGate) and latent.prior_net is None:
        return GatePrior, {"class_path": "videossl.models.GatePrior", "init_args": {}}
    if type(latent.prior_net) not in (GaussianPrior, StandardNormalPrior, SharedMixturePrior):
        return None, None
    # Dropout, because a mixture learns some thousands of contexts by heart.
    return partial(MixturePrior, dropout=0.2), {
        "class_path": "videossl.models.MixturePrior",
        "init_args": {"dropout": 0.2},
    }


def tried_prior(asked: Made, latent: GaussianLatent | SparseGate, setting: str) -> nn.Module:
    """Make the prior that is asked for and try it: what is none is said now, and not when a training is over.

    Args:
        asked: Made with the dimensions of embedding and latent.
        latent: That it is for.
        setting: Where it was asked for, for messages.

    Raises:
        UsageError: It says no density of r, or not of an r of this latent.
    """
    embedding_dim = round(latent.scale**2)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            made = asked(embedding_dim, latent.latent_dim)
            shape = made(torch.eye(2, embedding_dim)).log_prob(torch.zeros(2, latent.latent_dim)).shape
        except UsageError:
            raise
        except (TypeError, AttributeError, RuntimeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            suits = "GatePrior" if isinstance(latent, SparseGate) else "MixturePrior"
            raise UsageError(f"{setting} is no prior: {reason}. Use videossl.models.{suits}.") from error
    if isinstance(latent, SparseGate):
        check_gate_prior(made)
    elif isinstance(made, GatePrior) or shape != (2,):
        raise UsageError(f"{setting} is no prior of a GaussianLatent, got a {type(made).__name__}. Use MixturePrior.")
    return made


class SparseFit:
    """A sparse latent as what a prior is fitted to: what is inferred, widened to have a density.

    Args:
        latent: Its prior is set.
    """

    def __init__(self, latent: SparseGate) -> None:
        self.latent = latent
        self.latent_dim = latent.latent_dim

    @property
    def prior_net(self) -> nn.Module | None:
        """The prior of the latent."""
        return self.latent.prior_net

    @prior_net.setter
    def prior_net(self, prior: nn.Module | None) -> None:
        self.latent.prior_net = prior

    def posterior(self, context: Tensor, future: Tensor) -> GateMixture:
        """Gates and values given context and future; both (..., D) of unit norm."""
        return self.latent.gates(context, future).widened(VALUE_WIDTH)
