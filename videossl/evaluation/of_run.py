"""Evaluate the model of a run directory on the videos that its training held out."""

from pathlib import Path

from videossl.data import VideoIndex
from videossl.data.settings import DataSettings
from videossl.errors import UsageError
from videossl.evaluation.held_out import check_seed
from videossl.evaluation.reading import read_held_out
from videossl.evaluation.run import evaluate
from videossl.evaluation.table import table
from videossl.loading import find_model_files, load, load_data_settings
from videossl.run_directory import RunDirectory
from videossl.worlds import Truth, World, is_world, load_world


def evaluate_run(
    run: Path,
    *,
    twin: Path | None = None,
    num_contexts: int = 256,
    num_samples: int = 16,
    decoder_steps: int = 300,
    seed: int = 0,
    device: str = "cpu",
) -> str:
    """Score a run, and write `evaluation/metrics.json` and `evaluation/gallery.npz` into its directory.

    Args:
        run: Run directory.
        twin: Run directory of its deterministic twin, trained on the same videos.
        num_contexts: Held-out contexts, at most.
        num_samples: K, sampled futures of each context.
        decoder_steps: Training of a pixel decoder to look at the predictions, in steps of 64 clips; 0: none.
        seed: Of every draw.
        device: Where the models run.

    Returns:
        A table for a terminal.

    Raises:
        UsageError: Not a finished run, a latent without a prior, a twin that was trained on other videos, K < 1, a
            negative seed, or too few held-out videos.
    """
    check_seed(seed)
    if num_samples < 1 or decoder_steps < 0:
        raise UsageError(
            f"expected num_samples (K) of at least 1 and decoder_steps of at least 0, got {num_samples} and "
            f"{decoder_steps}."
        )
    directory = RunDirectory(run)
    directory.read_config()  # says what is no run
    if not directory.index.is_file():
        raise UsageError(
            f"{run} holds a model, and no index.parquet that says which videos were held out from its training. "
            "Give the folder that `videossl pretrain` wrote."
        )
    weights_sha256 = find_model_files(run).weights_sha256()  # before they are read: a training may replace them
    model = load(run, device=device)
    model.check_prior()
    settings = load_data_settings(run)
    index = VideoIndex.load(directory.index)
    twin_model = None
    if twin is not None:
        twin_model = load(twin, device=device)
        if twin_model.latent is not None:
            raise UsageError(f"{twin} has a latent: it is no deterministic twin. Train one with model.latent null.")
        _check_twin(twin, index, settings)
    held_out = read_held_out(
        index,
        settings.clips,
        settings.reader,
        frame_size=settings.frame_size,
        world=world_of(index),
        num_contexts=num_contexts,
        seed=seed,
        isolate=settings.isolate,
        deadline_seconds=settings.deadline_seconds,
    )
    metrics = evaluate(
        model,
        twin_model,
        held_out,
        num_samples=num_samples,
        seed=seed,
        decoder_steps=decoder_steps,
        run=str(run),
        weights_sha256=weights_sha256,
        out=directory.evaluation,
    )
    return table(metrics)


def world_of(index: VideoIndex) -> tuple[World, Truth] | None:
    """The world that the videos came from, if they did: its folder, the folder `videos` in it, or a store of it."""
    for folder in sorted({folder for row in index for folder in row.path.parents[:2]}):
        if is_world(folder):
            return load_world(folder)
    return None


def _check_twin(twin: Path, index: VideoIndex, settings: DataSettings) -> None:
    """Refuse a twin that was trained on other videos, clips or frames: the comparison would mean nothing."""
    of_twin = VideoIndex.load(RunDirectory(twin).index)
    here, there = ({video.media: video.split for video in videos} for videos in (index, of_twin))
    if here != there:
        raise UsageError(
            f"{twin} was not trained on the videos of this run, or holds out others of them. "
            "Train the twin on the same videos with the same seed and data.heldout_share."
        )
    twins = load_data_settings(twin)
    for name in ("clips", "frame_size"):
        wanted, got = getattr(settings, name), getattr(twins, name)
        if wanted != got:
            raise UsageError(
                f"{twin} was trained with data.{name}={got}, this run with {wanted}. Train the twin alike."
            )
