"""What each metric is called, which way is better, how to read it and what chance reaches."""

import math
from typing import Any

from videossl.evaluation.held_out import HeldOut


def metric_help(
    held_out: HeldOut,
    *,
    num_scored: int,
    num_samples: int,
    num_draws: int,
    num_candidates: int,
    nll_floor: float,
    climatology_px: float | None = None,
    readout_px: float | None = None,
) -> dict[str, dict[str, Any]]:
    """The entry `metric_help` of `metrics.json`.

    Args:
        held_out: Numbers of branches and decoys are read from it.
        num_scored: Contexts that are scored.
        num_samples: K.
        num_draws: Draws from which frequencies and densities are told.
        num_candidates: Among which the likelihood of a future is judged.
        nll_floor: The lowest possible mean negative log-likelihood among them, nats.
        climatology_px: Trajectory energy of guessing the futures of other videos; None where motion cannot be read.
        readout_px: Error of reading motion in the space of the run; given with `climatology_px`.
    """
    num_decoys = 0 if held_out.decoys is None else held_out.decoys.shape[1]
    num_crowd = num_scored + num_decoys
    entries: dict[str, dict[str, Any]] = {}

    def add(key: str, title: str, better: str, reads: str, chance: float | None = None) -> None:
        entries[key] = {"title": title, "better": better, "reads": reads, "chance": chance}

    if held_out.has_branches and held_out.branches is not None:
        num_branches = held_out.branches.shape[1]
        num_possible, which = float(num_branches), f"{num_branches} possible futures"
        if held_out.branch_probabilities is not None and bool((held_out.branch_probabilities == 0).any()):
            num_possible = float((held_out.branch_probabilities > 0).double().sum(dim=1).mean())
            which = f"possible futures ({num_possible:.1f} of {num_branches} on average)"
        impossible = num_branches + num_decoys - num_possible
        hit = 1 / (num_branches + num_decoys)
        add(
            "coverage",
            "Branch coverage",
            "higher",
            f"Share of the {which} of a context that at least one of {num_samples} samples "
            "lands on. Noise can buy it: compare with the noise rows, and read it with the precision.",
            1 - (1 - hit) ** num_samples,
        )
        add(
            "precision",
            "Branch precision",
            "higher",
            f"Share of the samples that land on a possible future, not on one of the {impossible:.3g} impossible ones "
            "of the same context. One safe answer can be precise: read it with the coverage.",
            num_possible * hit,
        )
        add(
            "calibration",
            "Branch calibration error",
            "lower",
            f"Total variation between how often {num_draws} draws of a context take each possible future and how often "
            "it comes true: 0 is perfect, 1 is worst; the truth row shows what chance alone leaves.",
        )
        add(
            "calibration_pooled",
            "Branch calibration error, all contexts together",
            "lower",
            "The same with the frequencies averaged over all contexts first: it finds a future that is over- or "
            "under-sampled everywhere, and does not see one future for one context, another for the next.",
        )
        add(
            "branch_accuracy",
            "Branch accuracy of told samples",
            "higher",
            "Only where the samples were told a future: the share that lands on that very one, among all possible and "
            "impossible ones. What blurs here blurs in every sample of the prior too.",
            hit,
        )
        add(
            "branch_choice",
            "The same among possible futures only",
            "higher",
            "Only where the samples were told a future: the share whose nearest possible future is that very one. It "
            "says whether the latent tells which future it is, however far off the sample then lands.",
            1 / num_possible,
        )
    add(
        "nll",
        "Negative log-likelihood among candidates, nats",
        "lower",
        f"How unlikely what can happen is held among {num_candidates} candidates: all that can happen, all that "
        "cannot, and futures of other contexts. The density is a kernel around the draws, as wide as is best on other "
        f"contexts. No forecast can do better than {nll_floor:.2f}.",
        math.log(num_candidates),
    )
    add(
        "nll_own",
        "The same by the model's own density, nats",
        "lower",
        "By `log_prob` of the model as it is, nothing fitted: far above the value before it, the model is too sure of "
        "the width of its own density.",
        math.log(num_candidates),
    )
    cloud = "How far the cloud of samples is from what can happen, less its own spread"
    if climatology_px is None or readout_px is None:
        reads = f"{cloud}; only the true distribution is best. 1 is what guessing the futures of other videos gives."
    else:
        add(
            "energy_px",
            "Energy score, px",
            "lower",
            f"{cloud}, in pixels, the same unit for all rows: each sample is read as a motion, in pixels, by a small "
            "network trained on real clips of other videos; the reading itself errs by "
            f"{readout_px:.2f} px in this model's space, so the truth is out of reach. Chance is guessing the futures "
            "of other videos.",
            climatology_px,
        )
        reads = (
            f"{cloud}, by distances in the space of each model; 1 is what guessing the futures of other videos gives. "
            "It flatters a space that throws away what varies, where all futures lie close together: compare spaces "
            "by the energy score in px."
        )
    add("energy_ratio", "Energy score / climatology", "lower", reads, 1.0)
    add(
        "energy_score",
        "Energy score",
        "lower",
        "The energy score by itself: in units of one embedding space, so never compare it between spaces.",
    )
    add(
        "best_of_k_ratio",
        f"Best of {num_samples} / climatology",
        "lower",
        f"Distance from what happened to the nearest of {num_samples} samples, over that of as many futures of other "
        "videos. Any noise lowers it, right or wrong: compare with the noise rows.",
        1.0,
    )
    add(
        "best_of_k",
        f"Best of {num_samples}",
        "lower",
        f"Distance of the nearest of {num_samples} samples by itself: in units of one embedding space, so never "
        "compare it between spaces.",
    )
    where = "impossible futures of the same context" if held_out.world else "clips of the same video at other times"
    against = f"the futures of all other contexts{f' and {num_decoys} {where}' if num_decoys else ''}"
    for top in (1, 5):
        add(
            f"hit_at_{top}",
            f"Hit@{top}",
            "higher",
            f"How often what happened is among the {top} nearest to the samples, out of {num_crowd}: "
            f"itself, {against}.",
            min(1.0, top / num_crowd),
        )
    add(
        "mrr",
        "Mean reciprocal rank",
        "higher",
        "The mean of 1 / rank of what happened in the same search: 1 is always first.",
        sum(1 / rank for rank in range(1, num_crowd + 1)) / num_crowd,
    )
    add(
        "spread_skill",
        "Spread / error",
        "nearer 1",
        "Spread of the samples over the error of their mean: below 1 the model is too sure, above 1 too unsure.",
        None,
    )
    return entries
