"""Fit the prior of a run directory's model once more."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videossl.data import VideoIndex
from videossl.loading import find_model_files, load, load_data_settings
from videossl.loading.fitted_prior import fitted_prior
from videossl.loading.load import load_augment
from videossl.run_directory import RunDirectory
from videossl.training.density import fit_concentration
from videossl.training.loaders import has_heldout_loss, view_batches
from videossl.training.prior_fit import PriorFit
from videossl.training.prior_refit import refit_prior
from videossl.training.refit_settings import PriorRefit
from videossl.training.weights_file import save_weights

BATCH_SIZE = 128


def refit_run(
    run: Path, settings: PriorRefit, *, prior: Mapping[str, Any] | None, device: str = "cpu", num_workers: int = 0
) -> PriorFit:
    """Fit the prior of a run on its training videos, and replace its weights if the new prior is better.

    Args:
        run: Run directory.
        settings: Which prior, and how it is fitted.
        prior: class_path and init_args of the prior in `settings`, if there is one.
        device: Where the model runs.
        num_workers: Loader processes.

    Returns:
        What came of it.

    Raises:
        UsageError: No such run, or a model whose prior cannot be fitted.
    """
    directory = RunDirectory(run)
    seed = int(directory.read_config().get("seed", 0))
    model = load(directory.path, device=device)
    data, augment = load_data_settings(directory.path), load_augment(directory.path)
    index = VideoIndex.load(directory.index)
    views = data.views(index.split("train"), seed=seed)
    refit = refit_prior(
        model, augment, views, settings, named=prior, batch_size=BATCH_SIZE, num_workers=num_workers, seed=seed
    )
    if refit.fit.is_better:
        heldout = index.split("heldout")
        shown = data.views(heldout, seed=seed) if has_heldout_loss(heldout) else views
        fit_concentration(model, augment, view_batches(shown, batch_size=BATCH_SIZE))
        weights = find_model_files(directory.path).weights
        save_weights(model, directory.weights, prior=refit.prior or fitted_prior(weights))
    return refit.fit
