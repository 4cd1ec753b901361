"""Try the objective on made-up embeddings before anything of a run is touched: what does not fit is said at once."""

import copy

import torch

from videossl.errors import UsageError
from videossl.objectives import AdaSSL
from videossl.training.pretraining import Pretraining
from videossl.training.transition_fit import of_single_steps

MOST_VIDEOS = 8


def rehearse(module: Pretraining, *, num_views: int, batch_size: int) -> None:
    """Compute the objective once on a copy, in eval mode, without a trace in the module or in random numbers.

    Raises:
        UsageError: What the objective says, or what broke in it.
    """
    objective = copy.deepcopy(module.objective).eval()
    shape = (num_views, max(2, min(batch_size, MOST_VIDEOS)), module.model.embedding_dim)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        embeddings = torch.randn(shape)
        given = {"targets": embeddings} if module.teacher is not None else {}
        try:
            objective(embeddings, **given)
            refit = module.settings.refit_transition
            if refit is not None and isinstance(objective, AdaSSL):
                of_single_steps(objective, refit.nats)(embeddings[:2])
        except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(
                f"the objective {type(objective).__name__} does not work on {num_views} views of {shape[-1]} "
                f"dimensions: {' '.join(str(error).split())}"
            ) from error
