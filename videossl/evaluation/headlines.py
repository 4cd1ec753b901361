"""The figures of an evaluation that a table of results shows, one number each."""

from typing import Any

from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.probes import LATENT_TARGETS, OF_PAIR, WHERE_FREE
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.run import evaluate

SAMPLES_PER_BRANCH = 4  # exact draws from equally likely branches then cover 98 % of them
SAMPLES_WITHOUT_BRANCHES = 32
INTERVALS = ("coverage", "precision", "calibration", "calibration_pooled", "nll")
PROBES = {
    "kick_r2_sampled": ("kick", "latent sample"),
    "kick_r2_innovation": ("kick", "innovation"),
    "kick_r2_pair": ("kick", OF_PAIR),
    "kick_each_r2_sampled": ("kick of each object", "latent sample"),
    "kick_each_r2_innovation": ("kick of each object", "innovation"),
    "kick_each_r2_pair": ("kick of each object", OF_PAIR),
    "velocity_r2": ("velocity", "representation"),
    "velocity_each_r2": ("velocity of each object", "representation"),
    "position_r2": ("position", "representation"),
}
PROBES |= {
    f"{name}_free": (target + WHERE_FREE, features)
    for name, (target, features) in PROBES.items()
    if target in LATENT_TARGETS
}


def future_scores(
    model: FutureModel,
    held_out: HeldOut,
    *,
    num_samples: int | None = None,
    seed: int = 0,
    own_likelihood: bool = False,
) -> dict[str, float]:
    """Score a model in a known world as briefly as can be: no untrained model, no reading of motion, no pictures.

    Args:
        model: Scored.
        held_out: With branches, decoys and probe clips, as `read_held_out` gives them.
        num_samples: K. None: four times as many as there are branches, 32 where branches are not known.
        seed: Of every draw.
        own_likelihood: Ask the model's own `log_prob`, too: slow.

    Returns:
        As of `headlines`.
    """
    if num_samples is None:
        num_branches = held_out.branches.shape[1] if held_out.has_branches and held_out.branches is not None else 0
        num_samples = SAMPLES_PER_BRANCH * num_branches or SAMPLES_WITHOUT_BRANCHES
    metrics = evaluate(
        model,
        None,
        held_out,
        num_samples=num_samples,
        seed=seed,
        untrained=False,
        motion=False,
        own_likelihood=own_likelihood,
    )
    return headlines(metrics)


def headlines(metrics: dict[str, Any]) -> dict[str, float]:
    """One number for each figure; those that were not measured are absent.

    Args:
        metrics: What `evaluate` returned or `metrics.json` holds.

    Returns:
        Of the model's samples: `coverage`, `precision`, `calibration` (total variation of the branches within each
        context, mean over contexts), `calibration_pooled` (of all contexts together), `nll`, `nll_own`, each of
        the first five also as `..._tuned_noise`, for noise around the mean prediction tuned for coverage, and as
        `..._posterior` and `..._truth`, for the two oracles; coverage and precision as `..._stratified`, too, for
        samples that are spread evenly; `nll_chance`. `posterior_branch_accuracy`,
        `posterior_branch_choice` (among possible futures only) and `kl_nats` (nats). R^2 of linear probes:
        `kick_r2_sampled` and `kick_r2_innovation` from r, `kick_r2_pair` from the representations of context and
        future together, `velocity_r2` and `position_r2` from that of the context, `..._each_...` for each of several
        objects; `identity_accuracy` (mean over objects). `steering_rate`, `steering_own` (oracle),
        `steering_unsteered` (control). Where things bounce, and of contexts in which nothing does: the same six of
        the kick and three of steering as `..._free`. Of whole futures of several steps, in
        worlds whose videos are long enough: `coverage_2_steps` and so on, for the same four sources.
    """
    rows = {row["key"]: row["metrics"] for row in metrics["rows"]}
    found: dict[str, float] = {}
    sources = (
        ("samples", ""),
        ("stratified", "_stratified"),
        ("noise_coverage", "_tuned_noise"),
        ("posterior", "_posterior"),
        ("truth", "_truth"),
    )
    for key, suffix in sources:
        for name in INTERVALS:
            if name in rows.get(key, {}):
                found[name + suffix] = rows[key][name]["value"]
    if "nll_own" in rows["samples"]:
        found["nll_own"] = rows["samples"]["nll_own"]["value"]
    found["nll_chance"] = metrics["metric_help"]["nll"]["chance"]
    for name in ("posterior_branch_accuracy", "kl_nats"):
        if metrics["health"][name] is not None:
            found[name] = metrics["health"][name]
    if "branch_choice" in rows.get("posterior", {}):
        found["posterior_branch_choice"] = rows["posterior"]["branch_choice"]["value"]
    probed = {(entry["target"], entry["features"]): entry["value"] for entry in metrics["probes"]}
    found |= {name: probed[asked] for name, asked in PROBES.items() if asked in probed}
    identities = [
        value
        for (target, features), value in probed.items()
        if target.startswith("class") and features == "representation"
    ]
    if identities:
        found["identity_accuracy"] = sum(identities) / len(identities)
    for horizon in metrics["horizons"]:
        rows = {row["key"]: row["metrics"] for row in horizon["rows"]}
        for key, suffix in sources:
            for name, interval in rows.get(key, {}).items():
                found[f"{name}_{horizon['steps']}_steps{suffix}"] = interval["value"]
    if metrics["steering"] is not None:
        for entry, suffix in ((metrics["steering"], ""), (metrics["steering"].get("free"), "_free")):
            if entry is not None:
                found |= {f"steering_{name}{suffix}": entry[name]["value"] for name in ("rate", "own", "unsteered")}
    return found
