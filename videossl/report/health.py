"""Is the model well? Read before any score: collapse, a dead latent, a loss that broke, a training that stopped."""

import math
from dataclasses import dataclass
from typing import Any

from videossl.report.facts import arguments, has_latent, model_part, nats_budgets, section
from videossl.report.numbers import State, listed, number, score
from videossl.report.sources import Series, finite
from videossl.wording import counted

COLLAPSED_STD, LOW_STD = 0.1, 0.4
COLLAPSED_RANK, LOW_RANK = 3.0, 6.0
DEAD_NATS = 0.05
SMALL_GAP = 0.02
OVERFITTED_BY = 0.1


@dataclass(frozen=True)
class Sign:
    """One thing that was looked at: what, how much, and what it means."""

    title: str
    value: str
    state: State
    means: str


@dataclass(frozen=True)
class Health:
    """All signs, and a verdict that the worst of them decides.

    Attributes:
        state: Of the worst sign.
        verdict: One or two sentences.
        signs: In order of importance.
        source: On which videos the values were taken.
        warnings: What the evaluation said aloud, in its own words.
    """

    state: State
    verdict: str
    signs: list[Sign]
    source: str
    warnings: list[str]


def health(
    training: dict[str, Series], evaluated: dict[str, Any] | None, config: dict[str, Any], *, has_weights: bool
) -> Health:
    """Judge the run.

    Args:
        training: Columns of metrics.csv; empty if there are none.
        evaluated: Entry `health` of metrics.json; without it the last logged training values are taken.
        config: The resolved config; empty if it cannot be read.
        has_weights: Whether the training ended and wrote weights.
    """
    values: dict[str, Any] = dict(evaluated) if evaluated else _of_training(training, config)
    signs = [*_loss_signs(training), *_ended_sign(training, config, has_weights)]
    signs += [sign for sign in (_std(values), _rank(values)) if sign is not None]
    signs += _latent_signs(values, config)
    warnings = [str(warning) for warning in values.get("warnings") or []]
    states = [sign.state for sign in signs]
    state: State = "bad" if "bad" in states or warnings else "watch" if "watch" in states else "good"
    if not signs:
        return Health("none", "Nothing is known about the health of this run.", [], "", warnings)
    bad = [sign for sign in signs if sign.state == ("bad" if "bad" in states else "watch")]
    verdict = {
        "good": "Nothing is wrong: the loss is sound and the embeddings have not collapsed"
        + (", and the latent carries information." if values.get("kl_nats") is not None else "."),
        "watch": f"Works, but look at: {', '.join(_lower(sign.title) for sign in bad)}.",
        "bad": f"Something is broken: {', '.join(_lower(sign.title) for sign in bad)}. Do not trust the scores below.",
        "none": "",
    }[state]
    if state == "bad" and not bad:
        verdict = "The evaluation gave a warning; it stands below."
    source = "held-out videos" if evaluated else "the last training batches, as logged (no evaluation yet)"
    return Health(state, verdict, signs, source, warnings)


def last_step(training: dict[str, Series]) -> int | None:
    """The last step that was logged, counted from 0."""
    return max((series[-1][0] for series in training.values() if series), default=None)


def has_ended(training: dict[str, Series], config: dict[str, Any], *, has_weights: bool) -> bool | None:
    """Whether training reached its last step and wrote weights; None where that is not known."""
    wanted, log_every = (section(config, "training").get(name) for name in ("max_steps", "log_every"))
    last = last_step(training)
    if not isinstance(wanted, int) or last is None:
        return True if has_weights else None
    return has_weights and last + 1 > wanted - (log_every if isinstance(log_every, int) else 50)


def _of_training(training: dict[str, Series], config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "embedding_dim": arguments(model_part(config, "projector")).get("embedding_dim"),
        "latent_dim": arguments(model_part(config, "latent")).get("latent_dim"),
    }
    for name in ("embedding_std", "effective_rank", "kl_nats", "active_units"):
        series = finite(training.get(f"train/{name}", []))
        if series:
            found[name] = series[-1][1]
    return found


def _loss_signs(training: dict[str, Series]) -> list[Sign]:
    loss = training.get("train/loss", [])
    if not loss:
        return []
    broken = [step for step, value in loss if not math.isfinite(value)]
    if broken:
        means = f"The loss is not a number from step {broken[0]:,} on: training diverged, its weights are of no use."
        return [Sign("Loss", number(loss[-1][1]), "bad", means)]
    first, last = loss[0][1], loss[-1][1]
    if len(loss) == 1:
        return [Sign("Loss", number(last), "none", "It was logged once, so whether it fell is not known.")]
    fell: State = "good" if last < first else "watch"
    means = f"It started at {number(first)} and " + ("fell." if last < first else "did not fall: was anything learnt?")
    signs = [Sign("Loss", number(last), fell, means)]
    heldout = finite(training.get("heldout/loss", []))
    if len(heldout) >= 2:
        step, best = min(heldout, key=lambda point: point[1])
        end = heldout[-1][1]
        is_worse = end > best + OVERFITTED_BY * abs(best)
        means = (
            f"It was best at step {step:,} ({number(best)}) and rose since: the model learns its videos by heart."
            if is_worse
            else "On videos never trained on; it did not rise at the end."
        )
        signs.append(Sign("Held-out loss", number(end), "watch" if is_worse else "good", means))
    return signs


def _ended_sign(training: dict[str, Series], config: dict[str, Any], has_weights: bool) -> list[Sign]:
    ended = has_ended(training, config, has_weights=has_weights)
    last, wanted = last_step(training), section(config, "training").get("max_steps")
    if ended is None or ended:
        return []
    reached = "an unknown step" if last is None else f"step {last + 1:,}"
    means = f"The last entry of the log is of {reached}"
    means += f" of {wanted:,}" if isinstance(wanted, int) else ""
    means += "." if has_weights else ", and there is no weights.safetensors: training is not finished, or was stopped."
    return [Sign("Training did not finish", reached, "watch", means)]


def _std(values: dict[str, Any]) -> Sign | None:
    std = values.get("embedding_std")
    if std is None:
        return None
    title, text = "Spread of the embeddings", f"{score(std)} of 1"
    if not std >= COLLAPSED_STD:
        return Sign(title, text, "bad", "Collapsed: all videos get nearly the same embedding.")
    if std < LOW_STD:
        return Sign(title, text, "watch", "Low: the embeddings use a small part of the sphere.")
    return Sign(title, text, "good", "Different videos get different embeddings (0 would be collapse).")


def _rank(values: dict[str, Any]) -> Sign | None:
    rank, size = values.get("effective_rank"), values.get("embedding_dim")
    if rank is None:
        return None
    title, text = "Effective rank", number(rank) + (f" of {size}" if size else "")
    if not rank >= COLLAPSED_RANK:
        return Sign(title, text, "bad", "Collapsed: the embeddings lie on a line or in a plane.")
    if rank < LOW_RANK:
        return Sign(title, text, "watch", "Low: few directions are used. That can be right for very simple videos.")
    return Sign(title, text, "good", "So many directions of the embedding space are in use (1 would be collapse).")


def _latent_signs(values: dict[str, Any], config: dict[str, Any]) -> list[Sign]:
    kl = values.get("kl_nats")
    if kl is None:
        is_deterministic = values.get("latent_dim") == 0 or has_latent(config) is False
        means = "This model is deterministic: there is no r that could die."
        return [Sign("Latent r", "none", "none", means)] if is_deterministic else []
    budgets = nats_budgets(config)
    budget = f" The budget is {listed([f'{nats:g}' for nats in budgets], last='and then')} nats." if budgets else ""
    title, text = "Information in r (KL)", f"{number(kl)} nats"
    futures = f"enough to tell about {math.exp(min(kl, 20.0)):,.0f} equally likely futures apart"
    if kl < math.log(2):
        futures = "too little to tell even two equally likely futures apart"
    if not kl >= DEAD_NATS:
        signs = [Sign(title, text, "bad", "The latent is dead: all sampled futures are one and the same guess.")]
    elif budgets and not 0.5 * min(budgets) <= kl <= 1.5 * max(budgets):
        signs = [Sign(title, text, "watch", f"Far from its budget; {futures}.{budget}")]
    else:
        signs = [Sign(title, text, "good", f"r is alive: {futures}.{budget}")]
    units, size = values.get("active_units"), values.get("latent_dim")
    if units is not None:
        means = "Numbers of r that carry anything." if units >= 1 else "No number of r carries anything."
        of = f"{number(units)} of {size}" if size else number(units)
        signs.append(Sign("Active units of r", of, "good" if units >= 1 else "bad", means))
    gap = values.get("posterior_prior_gap")
    if gap is not None:
        means = "So much nearer to what happened the prediction comes when r has seen it; at 0, r tells nothing."
        signs.append(
            Sign("Gap between posterior and prior", f"{gap:.0%}", "good" if gap > SMALL_GAP else "watch", means)
        )
    told = values.get("posterior_branch_accuracy")
    if told is not None:
        means = (
            "How often a prediction lands on the very future that r was inferred from, out of all futures possible "
            f"and impossible. What is blurred here ({1 - told:.0%}) is blurred in every sample."
        )
        signs.append(Sign("r tells futures apart", f"{told:.0%}", "none", means))
    return signs


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]


def steps_of(training: dict[str, Series], config: dict[str, Any]) -> str:
    """How long was trained, for the head of the page: "1,500 steps of 128 videos"."""
    last = last_step(training)
    if last is None:
        return "unknown steps"
    wanted, batch_size = (section(config, "training").get(name) for name in ("max_steps", "batch_size"))
    log_every = section(config, "training").get("log_every")
    steps = last + 1
    if isinstance(wanted, int) and steps > wanted - (log_every if isinstance(log_every, int) else 50):
        steps = wanted  # the last few are not logged
    return counted(steps, "step") + (f" of {batch_size} videos" if batch_size else "")
