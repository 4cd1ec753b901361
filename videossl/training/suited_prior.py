"""Which prior is fitted to which latent."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from videossl.errors import UsageError
from videossl.models import CodebookLatent, GaussianLatent, GaussianPrior, MixturePrior

Made = Callable[[int, int], nn.Module]


def suited_prior(
    latent: nn.Module | None, asked: Made | None, named: Mapping[str, Any] | None
) -> tuple[Made | None, Mapping[str, Any] | None]:
    """Choose the prior to fit.

    A Gaussian latent gets a `MixturePrior` where it was trained with one Gaussian (several futures are several modes);
    trained with another prior, that one goes on. Codes have a prior of every form there is, which goes on.

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
    if not isinstance(latent, GaussianLatent):
        kind = "no latent" if latent is None else f"a {type(latent).__name__}"
        raise UsageError(f"this model has {kind}: there is no prior to fit.")
    if asked is not None:
        return asked, named
    if type(latent.prior_net) is not GaussianPrior:
        return None, None
    return MixturePrior, {"class_path": "videossl.models.MixturePrior", "init_args": {}}
