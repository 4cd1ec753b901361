"""Linear probes: what can be read from frozen features by a weighted sum, with an untrained model beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from videossl.evaluation.held_out import ProbeClips
from videossl.evaluation.latents import latents
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.space import embed_clips

STRENGTHS = tuple(float(strength) for strength in torch.logspace(-5, 2, 15))
PART_SHARES = (0.5, 0.2)  # fitting, choosing the strength; the rest is for the test
FEWEST_CLIPS = 40
LATENT_TARGETS = {"kick", "kick of each object"}  # what no context can know


@dataclass(frozen=True)
class Parts:
    """Rows for fitting, for choosing the strength and for the test; no video is in two of them."""

    fit: Tensor
    choose: Tensor
    test: Tensor


def split_by_video(videos: Tensor, *, seed: int) -> Parts:
    """Split (n,) rows into parts of about 50, 20 and 30 % of the videos."""
    distinct = torch.unique(videos)
    shuffled = distinct[torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))]
    first, second = (round(share * len(distinct)) for share in (PART_SHARES[0], sum(PART_SHARES)))
    of_part = (shuffled[:first], shuffled[first:second], shuffled[second:])
    fit, choose, test = (torch.isin(videos, part).nonzero().flatten() for part in of_part)
    return Parts(fit, choose, test)


class Ridge:
    """Linear regression with a squared penalty on standardised features, for many strengths at the cost of one.

    Args:
        features: (n, E).
        targets: (n, A).
    """

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        self.centre, self.target_mean = features.mean(dim=0), targets.mean(dim=0)
        self.scale = features.std(dim=0, correction=0).clamp_min(1e-8)
        x = (features - self.centre) / self.scale
        self.values, self.vectors = torch.linalg.eigh(x.T @ x / len(x))
        self.projected = self.vectors.T @ (x.T @ (targets - self.target_mean) / len(x))

    def predict(self, features: Tensor, *, strength: float) -> Tensor:
        """(n, A) for features (n, E); the strength is in units of a feature's variance."""
        weights = self.vectors @ (self.projected / (self.values.clamp_min(0) + strength)[:, None])
        return (features - self.centre) / self.scale @ weights + self.target_mean


def r_squared(predicted: Tensor, true: Tensor) -> float:
    """Mean over quantities of `1 - squared error / variance`, (n, A) each; 0 for the mean, negative for worse."""
    error = (predicted - true).square().sum(dim=0)
    variance = (true - true.mean(dim=0)).square().sum(dim=0)
    return float((1 - error / variance.clamp_min(1e-12)).mean())


def accuracy(predicted: Tensor, true: Tensor) -> float:
    """Share of rows whose highest column is that of the one-hot truth, (n, A) each."""
    return float((predicted.argmax(dim=1) == true.argmax(dim=1)).double().mean())


def probe(features: Tensor, targets: Tensor, parts: Parts) -> tuple[float, float]:
    """Fit a ridge, choose its strength on a part of its own, refit on both, test on the third.

    Args:
        features: (n, E).
        targets: (n, A) float quantities, scored by R^2, or (n,) int64 classes, scored by accuracy.
        parts: Of the rows.

    Returns:
        Score on the test part, and the chance level: 0 for R^2, the share of the commonest class for accuracy.
    """
    score = r_squared
    values, chance = targets.double(), 0.0
    if targets.ndim == 1:
        score = accuracy
        _, classes = torch.unique(targets, return_inverse=True)
        values = torch.nn.functional.one_hot(classes).double()
        commonest = values[torch.cat([parts.fit, parts.choose])].sum(dim=0).argmax()
        chance = float((classes[parts.test] == commonest).double().mean())
    x = features.double()
    fitted = Ridge(x[parts.fit], values[parts.fit])
    chosen = max(STRENGTHS, key=lambda s: score(fitted.predict(x[parts.choose], strength=s), values[parts.choose]))
    both = torch.cat([parts.fit, parts.choose])
    refitted = Ridge(x[both], values[both])
    return score(refitted.predict(x[parts.test], strength=chosen), values[parts.test]), chance


@torch.inference_mode()
def probe_features(
    model: FutureModel, clips: ProbeClips, *, seed: int, futures: Tensor | None = None
) -> tuple[dict[str, Tensor], float | None]:
    """The features of each kind, (n, E), and the mean KL in nats that the latent's features cost (None: no latent).

    "representation" and "frame mean" see the context only; the second is left out where the model's own pooling is
    the mean. "latent sample" is a draw of r from the posterior, which
    has seen the future; "innovation" is (posterior mean - prior mean) / prior deviation. The posterior mean alone is
    not offered: standardised, it reads true even where the KL is zero. `futures` (n, D): of the clips' futures, if they
    are embedded already.
    """
    contexts = embed_clips(model, clips.contexts, description="embedding (probes)")
    features = {"representation": contexts.representation}
    frame_mean = contexts.frames.mean(dim=1)
    if frame_mean.shape != contexts.representation.shape or not torch.allclose(frame_mean, contexts.representation):
        features["frame mean"] = frame_mean
    if model.latent is None:
        return features, None
    if futures is None:
        futures = embed_clips(model, clips.futures, description="embedding (probes)").embedding
    found = latents(model, contexts.embedding, futures, seed=seed)
    features["latent sample"] = found.sample
    features["innovation"] = found.innovation
    return features, float(found.kl.mean())


def probes(
    model: FutureModel,
    untrained: FutureModel | None,
    clips: ProbeClips,
    *,
    seed: int,
    futures: Mapping[str, Tensor] | None = None,
    posterior_branch_accuracy: float | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Probe every target from every kind of feature that may know it.

    Args:
        model: The run's model.
        untrained: The same architecture with random weights, for the column beside; None: no such column.
        clips: Clips with truth.
        seed: Of the split and the draws of r.
        futures: "run" and "random" -> (n, D), of the clips' futures in both spaces, if they are embedded already.
        posterior_branch_accuracy: As the scores have it; stands beside every probe of r, as the KL does.

    Returns:
        Entries for `metrics.json`, and what could not be probed and why.
    """
    parts = split_by_video(clips.videos, seed=seed)
    if len(clips.videos) < FEWEST_CLIPS or not all(len(part) for part in (parts.fit, parts.choose, parts.test)):
        return [], [
            f"probes: they need at least {FEWEST_CLIPS} clips of several held-out videos, "
            f"got {len(clips.videos)} of {len(torch.unique(clips.videos))}"
        ]
    known = futures or {}
    features, kl_nats = probe_features(model, clips, seed=seed, futures=known.get("run"))
    beside: dict[str, Tensor] = {}
    if untrained is not None:
        beside, _ = probe_features(untrained, clips, seed=seed, futures=known.get("random"))
    entries: list[dict[str, Any]] = []
    skipped = []
    for target, values in clips.targets.items():
        if target in LATENT_TARGETS and kl_nats is None:
            skipped.append(f"probe of the {target} from the latent: this model has no latent")
        is_latents = target in LATENT_TARGETS
        # The representation of the context is asked for the kick too: anything above zero would be a leak.
        kinds = ("representation", "latent sample", "innovation") if is_latents else ("representation", "frame mean")
        for kind in kinds:
            if kind not in features:
                continue
            value, chance = probe(features[kind], values, parts)
            entry = {
                "target": target,
                "features": kind,
                "score": "accuracy" if values.ndim == 1 else "r2",
                "value": value,
                "random_encoder": probe(beside[kind], values, parts)[0] if kind in beside else None,
                "chance": chance,
                "num_test": len(parts.test),
            }
            if kind in ("latent sample", "innovation"):
                entry |= {"kl_nats": kl_nats, "posterior_branch_accuracy": posterior_branch_accuracy}
            entries.append(entry)
    return entries, skipped
