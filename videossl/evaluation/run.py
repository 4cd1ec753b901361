"""The whole evaluation: embed once, predict, score, probe, look at the health, keep pictures."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from videossl.errors import UsageError
from videossl.evaluation.candidate_nll import entropy
from videossl.evaluation.check_model import check_future_model, check_twin
from videossl.evaluation.comparisons import comparisons
from videossl.evaluation.decoded import decoded_arrays, decoder_for, latent_plane
from videossl.evaluation.films import surprises
from videossl.evaluation.futures import FutureScorer, curve_points
from videossl.evaluation.gallery import gallery, write_gallery
from videossl.evaluation.health import health
from videossl.evaluation.held_out import HeldOut, check_seed
from videossl.evaluation.metric_help import metric_help
from videossl.evaluation.predictors import Prediction, Predictors
from videossl.evaluation.probes import WHERE_FREE, probes
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.readout import motion_readouts, why_no_readout
from videossl.evaluation.rollouts import horizons
from videossl.evaluation.space import embed_clips, embed_space
from videossl.evaluation.steering import steering
from videossl.files import replacing
from videossl.probing import FEWEST_VIDEOS

FORMAT = 1


def evaluate(
    model: FutureModel,
    twin: FutureModel | None,
    held_out: HeldOut,
    *,
    num_samples: int = 32,
    seed: int = 0,
    untrained: bool = True,
    motion: bool = True,
    own_likelihood: bool = True,
    decoder_steps: int = 0,
    run: str = "",
    weights_sha256: str | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Score how well a model knows what can follow a clip, beside controls and oracles.

    Each row is scored in the space of its own model, and where motion can be read from the samples also in pixels of
    it, the same unit for all rows; every clip is embedded once per model.

    Args:
        model: The run's model.
        twin: The same trained without a latent, None if there is none.
        held_out: The clips.
        num_samples: K, sampled futures of each context.
        seed: Of every draw; the same seed gives the same numbers.
        untrained: Score the same architecture with random weights, too.
        motion: Read samples as motion in pixels, too, where that is possible.
        own_likelihood: Ask the model's own `log_prob`, too, if it has one.
        decoder_steps: Training of a pixel decoder that draws the predictions for the gallery, in steps of 64 clips; 0:
            none. It is only looked at: no score depends on it.
        run: Name of the run, to be written down.
        weights_sha256: Of the model's weights, to be written down: a report tells by it whether the scores are of the
            weights that the run has now.
        out: Folder for `metrics.json` and `gallery.npz`; None: write nothing.

    Returns:
        What `metrics.json` holds.

    Raises:
        UsageError: K is not positive, the seed is negative, a model lacks a method or returns another shape, or there
            are fewer held-out contexts than an evaluation needs.
        WorkError: A model returns NaN or infinity.
    """
    check_seed(seed)
    check_future_model(model, untrained=untrained)
    if twin is not None:
        check_twin(twin)
    if num_samples < 1:
        raise UsageError(f"an evaluation needs num_samples >= 1 sampled futures of each context, got {num_samples}.")
    tuning, scored = held_out.tuning_split(seed)
    fresh = model.reinitialised(seed) if untrained else None
    models = {"run": model} | ({"random": fresh} if fresh else {}) | ({} if twin is None else {"twin": twin})
    spaces = {name: embed_space(each, held_out, name) for name, each in models.items()}
    probe_futures = {}
    if motion and held_out.probe is not None and why_no_readout(held_out) is None:
        probe_futures = {
            name: embed_clips(each, held_out.probe.futures, description=f"embedding ({name})")
            for name, each in models.items()
        }
    moved = {name: futures.embedding for name, futures in probe_futures.items()}
    readouts = motion_readouts(held_out, moved, seed=seed)
    predictors = Predictors(
        spaces, readouts, held_out, tuning=tuning, scored=scored, num_samples=num_samples, seed=seed
    )
    rows = predictors.all(model, twin, fresh)
    samples = rows[0]
    scorer = FutureScorer(held_out, spaces, readouts, scored, num_samples=num_samples, seed=seed)
    scores = {row.key: scorer.score(row) for row in rows}
    if own_likelihood:
        scores[samples.key].metrics.update(scorer.own_nll(model, seed=seed))
    told = scores["posterior"].metrics.get("branch_accuracy") if "posterior" in scores else None
    posterior_branch_accuracy = None if told is None else told.value
    skipped = _skipped(held_out, twin, model, num_samples)
    if not scorer.bootstrap.by_video:
        skipped.append(
            f"intervals between videos: fewer than {FEWEST_VIDEOS} held-out videos are scored, so the intervals only "
            "say how much contexts differ"
        )
    probed: list[dict[str, Any]] = []
    unprobed: list[str] = []
    if held_out.probe is not None:
        probed, unprobed = probes(
            model,
            fresh,
            held_out.probe,
            seed=seed,
            futures=probe_futures,
            posterior_branch_accuracy=posterior_branch_accuracy,
        )
    steered, unsteered = _steering(model, held_out, scorer, samples, scored, seed=seed)
    help_of = metric_help(
        held_out,
        num_scored=len(scored),
        num_samples=num_samples,
        num_draws=scorer.num_draws,
        num_candidates=scorer.crowd.weights.shape[1],
        nll_floor=float(entropy(scorer.crowd.weights).mean()),
        climatology_px=scorer.climatology_px,
        readout_px=readouts["run"].error_px if readouts else None,
    )
    measured = {name for score in scores.values() for name in score.metrics}
    surprised, moments = surprises(model, held_out.films)
    prior = getattr(model.latent, "prior_net", None)
    metrics: dict[str, Any] = {
        "format": FORMAT,
        "run": run,
        "weights_sha256": weights_sha256,
        "prior": None if prior is None else type(prior).__name__,
        "num_contexts": len(scored),
        "num_tuning_contexts": len(tuning),
        "num_samples": num_samples,
        "world": held_out.world,
        "seed": seed,
        "rows": [
            {
                "name": row.name,
                "key": row.key,
                "kind": row.kind,
                "space": row.space,
                "note": row.note,
                "metrics": {name: interval.json() for name, interval in scores[row.key].metrics.items()},
            }
            for row in rows
        ],
        "metric_help": {name: entry for name, entry in help_of.items() if name in measured},
        "readouts": {name: {"error_px": readout.error_px} for name, readout in readouts.items()},
        "comparisons": comparisons(
            # A deterministic model's samples are its mean prediction: nothing to compare.
            [row for row in rows if model.latent is not None or row.key != "mean"],
            {key: score.values for key, score in scores.items()},
            scorer.bootstrap,
        ),
        "best_of_k_curve": {key: curve_points(score.curve) for key, score in scores.items() if score.curve},
        "rank_histograms": {key: score.rank_histogram for key, score in scores.items() if score.rank_histogram},
        "branch_frequencies": None,
        "probes": probed,
        "steering": steered,
        "horizons": []
        if held_out.paths is None
        else horizons(model, twin, held_out.paths, num_samples=num_samples, seed=seed),
        "surprise": surprised,
        "health": health(
            model,
            spaces["run"],
            posterior_branch_accuracy=posterior_branch_accuracy,
            num_samples=num_samples,
            seed=seed,
        ),
        "skipped": skipped + unprobed + unsteered,
    }
    if held_out.has_branches:
        true, sampled, distance = scorer.frequencies(samples)
        metrics["branch_frequencies"] = {
            "true": true.tolist(),
            "sampled": sampled.tolist(),
            "total_variation": distance,
        }
    if out is not None:
        with replacing(out / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        arrays = gallery(held_out, spaces["run"], samples.samples, scored) | moments
        arrays |= latent_plane(model, held_out, seed=seed)
        if decoder_steps:
            decoder = decoder_for(model, held_out, spaces["run"], tuning, num_steps=decoder_steps, seed=seed)
            if decoder is not None:
                arrays |= decoded_arrays(decoder, held_out, spaces["run"], samples.many, scored)
        write_gallery(out / "gallery.npz", arrays)
    return metrics


def _steering(
    model: FutureModel, held_out: HeldOut, scorer: FutureScorer, samples: Prediction, scored: Tensor, *, seed: int
) -> tuple[dict[str, Any] | None, list[str]]:
    """The entry `steering`, or None and why there is none."""
    if not held_out.has_branches or scorer.probabilities is None:
        return None, []
    if not held_out.branches_alike:
        return None, ["steering: a future of that number is not the same change in every context of this world"]
    space = scorer.spaces[samples.space]
    free = None if held_out.moves_freely is None else held_out.moves_freely[scored]
    found = steering(model, space, scorer.probabilities, scorer.bootstrap, samples.many, seed=seed, moves_freely=free)
    if found is None and model.latent is not None:
        return None, ["steering: the model takes no r from outside, or too few contexts can have every future"]
    if found is not None and found["free"] is None and found["num_free"] not in (None, found["num_contexts"]):
        return found, [f"steering{WHERE_FREE}: {found['num_free']} such contexts can have every future: too few"]
    return found, []


def _skipped(held_out: HeldOut, twin: FutureModel | None, model: FutureModel, num_samples: int) -> list[str]:
    """What is left out of the rows and columns, and why."""
    skipped = list(held_out.notes)
    if held_out.branches is None:
        skipped.append("branch metrics and the row `truth`: these videos come from no world with known branches")
    elif held_out.is_continuous:
        skipped.append("branch metrics: the futures of this world are continuous, there are no branches to count")
    elif held_out.decoys is None:
        skipped.append("branch precision: without decoys every sample lands on a branch")
    unread = why_no_readout(held_out)
    if unread is not None:
        skipped.append(f"energy score in px: {unread}")
    if twin is None:
        skipped.append("the row `twin`: no deterministic twin of this run was trained or given")
    if model.latent is None:
        skipped.append("the row `posterior`: this model has no latent")
    if held_out.probe is None:
        skipped.append("probes: nothing is known about these videos that could be read from the embeddings")
    if num_samples < 2:
        skipped.append("spread and rank histogram: they need num_samples of 2 or more")
    if held_out.failures:
        causes = "; ".join(f"{failure.video}: {failure.cause}" for failure in held_out.failures)
        skipped.append(f"{len(held_out.failures)} held-out video(s) that could not be read: {causes}")
    return skipped
