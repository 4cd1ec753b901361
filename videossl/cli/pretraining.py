"""Verbs that fit a model: `pretrain`, and `refit-prior`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from videossl.data import Augment, MultiCrop
from videossl.data.settings import DataSettings
from videossl.errors import UsageError
from videossl.files import check_output
from videossl.loading import usable
from videossl.models import WorldModel
from videossl.objectives import Beta, MultiViewObjective
from videossl.training.auxiliaries import Auxiliary
from videossl.training.refit_settings import PriorRefit
from videossl.training.settings import TrainingSettings


def pretrain(
    *,
    data: DataSettings,
    model: WorldModel,
    objective: MultiViewObjective,
    augment: Augment | MultiCrop,
    training: TrainingSettings,
    out: Path,
    beta: Beta | None = None,
    auxiliaries: list[Callable[[int, int, int], Auxiliary]] | None = None,
    seed: int = 0,
    ckpt: str | None = None,
    overwrite: bool = False,
    resolved: dict[str, Any],
) -> None:
    """Train a world model on a folder or list of videos.

    Args:
        data: Which videos, and how views are cut from them.
        model: Encoder, projector, latent and editor.
        objective: Loss over the embeddings of the views.
        augment: Augmentation of the views, on the device: `Augment`, or `MultiCrop` for crops of several sizes.
        training: Steps, batch size, learning rate, devices.
        out: Run directory to write.
        beta: Weight of the latent's penalty: held at an information budget, or fixed. Needed if the model has a latent.
        auxiliaries: Losses beside the objective: `MotionPrediction`, `NextFrames` and `TranslatedView` of
            videossl.training.
        seed: Of weights, clips, augmentation and latents.
        ckpt: Go on from a checkpoint: a path, or "last" for the newest of the run directory.
        overwrite: Replace a run directory that exists.
        resolved: The resolved config (from the command line, not an option).
    """
    if seed < 0:
        raise UsageError(f"expected a seed of 0 or more, got {seed}.")
    if model.latent is not None and beta is None:
        raise UsageError(
            "the model has a latent, but nothing sets its price. Add to the config: "
            "beta: {class_path: videossl.objectives.InformationBudget, init_args: {nats: 2.4}}"
        )
    checkpoint = None
    if ckpt is not None:
        checkpoint = out / "checkpoints" / "last.ckpt" if ckpt == "last" else Path(ckpt)
    from videossl.training.pretrain import is_main_process
    from videossl.training.pretrain import pretrain as train

    goes_on = checkpoint is not None and out.resolve() in checkpoint.resolve().parents
    if goes_on and overwrite:
        raise UsageError(f"--ckpt goes on with {out} and --overwrite true deletes it. Give one of them.")
    if is_main_process() and not goes_on:
        check_output(
            out, overwrite=overwrite, marks=("config.yaml", "unreadable.csv"), remedy="go on with --ckpt last, "
        )
    done = train(
        model,
        objective,
        beta,
        data,
        augment,
        training,
        out=out,
        seed=seed,
        checkpoint=checkpoint,
        goes_on=goes_on,
        auxiliaries=auxiliaries or [],
        config=resolved,
    )
    if is_main_process():
        for message in done.warnings:
            print(f"warning: {message}")
        if done.num_unreadable:
            print(f"{done.num_unreadable} videos could not be read; they are listed in {done.run / 'unreadable.csv'}")
        if done.transition is not None:
            print(done.transition)
        if done.refit is not None:
            print(done.refit.fit)
        print(f"trained {done.steps} steps in {done.seconds:.0f} s: {done.run}")
        print(f"next: videossl evaluate --run {done.run}")


def refit_prior(*, run: Path, refit: PriorRefit, device: str = "cpu", resolved: dict[str, Any]) -> None:
    """Fit the prior of a trained model once more, on the videos that it was trained on.

    Encoder, editor and posterior stay. The prior that is better on training videos that were kept out of the fit is
    kept, the old or the new one; the weights of the run are replaced in one step. Evaluate the run again afterwards.

    Args:
        run: Run directory.
        refit: Which prior, and how it is fitted.
        device: Where the model runs: "cpu", "cuda", "mps".
        resolved: The resolved config (from the command line, not an option).
    """
    from videossl.training.refit_run import refit_run

    fit = refit_run(run, refit, prior=resolved["refit"]["prior"], device=usable(device))
    print(fit)
    if fit.is_better:
        print(f"next: videossl evaluate --run {run}")
