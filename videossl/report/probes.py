"""The table of linear probes: what can be read from the embeddings."""

from dataclasses import dataclass
from typing import Any

from videossl.report.numbers import State, number, score

FEATURES = {
    "representation": "representation of the context",
    "frame mean": "mean of the frame embeddings of the context",
    "both clips": "representations of context and future together",
    "latent sample": "a sample of r that has seen the future",
    "innovation": "what r adds to its prior (has seen the future)",
}


@dataclass(frozen=True)
class Probe:
    """One target read from one kind of feature.

    Attributes:
        target: What is read.
        features: From what.
        measure: "R²" or "accuracy".
        value: Of this model.
        untrained: Of the same architecture with random weights; empty if not known.
        chance: Of guessing.
        verdict: In words.
        state: Of the verdict.
        at: Place of the value on a bar from 0 to 1, in per cent.
        untrained_at: The same of the untrained model, None if not known.
        num_test: Clips that it was tested on, 0 if not known.
    """

    target: str
    features: str
    measure: str
    value: str
    untrained: str
    chance: str
    verdict: str
    state: State
    at: float
    untrained_at: float | None
    num_test: int


def probes(found: dict[str, Any]) -> list[Probe]:
    """The entries `probes` of metrics.json, in their order."""
    return [_probe(entry) for entry in found.get("probes") or []]


def _probe(entry: dict[str, Any]) -> Probe:
    value, untrained, chance = float(entry["value"]), entry.get("random_encoder"), float(entry.get("chance") or 0.0)
    features = str(entry["features"])
    state, verdict = _verdict(value, untrained, chance, is_kick_of_context=_is_unknowable(entry))
    if entry.get("kl_nats") is not None:
        told = entry.get("posterior_branch_accuracy")
        accuracy = "" if told is None else f", and leads to the future it was read from {told:.0%} of the time"
        verdict += f" (r carries {number(entry['kl_nats'])} nats{accuracy})"
    return Probe(
        target=str(entry["target"]),
        features=FEATURES.get(features, features),
        measure={"r2": "R²", "accuracy": "accuracy"}.get(str(entry["score"]), str(entry["score"])),
        value=score(value),
        untrained="" if untrained is None else score(float(untrained)),
        chance=score(chance),
        verdict=verdict,
        state=state,
        at=100 * min(max(value, 0.0), 1.0),
        untrained_at=None if untrained is None else 100 * min(max(float(untrained), 0.0), 1.0),
        num_test=int(entry.get("num_test") or 0),
    )


def _is_unknowable(entry: dict[str, Any]) -> bool:
    return entry["target"] == "kick" and entry["features"] == "representation"


def _verdict(value: float, untrained: float | None, chance: float, *, is_kick_of_context: bool) -> tuple[State, str]:
    if is_kick_of_context:  # the future kick cannot be seen in the context
        if value < chance + 0.1:
            return "good", "rightly not there: the context cannot tell it"
        if untrained is not None and value < untrained + 0.1:
            return "none", "in part to be seen in the context: an untrained model has as much of it"
        return "bad", "should not be there: the future leaks into the context"
    if value <= chance + 0.02:
        return "watch", "not there"
    if untrained is not None and value <= untrained + 0.02:
        return "watch", "there, but an untrained model has as much"
    if untrained is not None and value <= untrained + 0.1:
        return "none", "a little more than in an untrained model"
    return "good", "learnt" if untrained is not None else "there"
