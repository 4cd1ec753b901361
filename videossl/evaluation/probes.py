"""Linear probes: what can be read from frozen features by a weighted sum, with an untrained model beside."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from videossl.evaluation.held_out import ProbeClips
from videossl.evaluation.latents import latents
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.space import embed_clips
from videossl.probing import Bootstrap, Parts, Scores, linear_probe, scores, split_by_video
from videossl.types import Embeddings

FEWEST_CLIPS = 40
FEWEST_IN_A_PART = 8
LATENT_TARGETS = {"kick", "kick of each object"}  # what no context can know, or not all of it
OF_CONTEXT, OF_LATENT = ("representation", "frame mean"), ("latent sample", "innovation")
OF_PAIR = "both clips"
WHERE_FREE = " where nothing bounces"  # behind the name of a target


def probe(features: Tensor, targets: Tensor, parts: Parts, bootstrap: Bootstrap) -> Scores:
    """Score a linear probe as `videossl probe` does: ridge for quantities, logistic regression for classes.

    Args:
        features: (n, E).
        targets: (n, A) float quantities, or (n,) int64 classes.
        parts: Of the rows.
        bootstrap: Of the test rows.
    """
    values = targets if targets.ndim == 2 else torch.unique(targets, return_inverse=True)[1]
    answer = linear_probe(features, values, parts)
    return scores(answer.predicted, values, parts.test, parts.before_test, bootstrap)


@torch.inference_mode()
def probe_features(
    model: FutureModel, clips: ProbeClips, *, seed: int, futures: Embeddings | None = None
) -> tuple[dict[str, Tensor], float | None]:
    """The features of each kind, (n, E), and the mean KL in nats that the latent's features cost (None: no latent).

    "representation" and "frame mean" see the context only; the second is left out where the model's own pooling is
    the mean. "both clips" is the representation of the context with that of its future behind it, (n, 2 E): what an
    encoder keeps of what happened between them, with or without a latent; it is there where a target is one that no
    context can know. "latent sample" is a draw of r from the posterior, which
    has seen the future; "innovation" is (posterior mean - prior mean) / prior deviation. The posterior mean alone is
    not offered: standardised, it reads true even where the KL is zero. `futures`: embeddings of the clips' futures, if
    there are any already.
    """
    contexts = embed_clips(model, clips.contexts, description="embedding (probes)")
    features = {"representation": contexts.representation}
    frame_mean = contexts.frames.mean(dim=1)
    if frame_mean.shape != contexts.representation.shape or not torch.allclose(frame_mean, contexts.representation):
        features["frame mean"] = frame_mean
    asks_of_future = not LATENT_TARGETS.isdisjoint(clips.targets)
    if futures is None and (asks_of_future or model.latent is not None):
        futures = embed_clips(model, clips.futures, description="embedding (probes)")
    if futures is not None and asks_of_future:
        features[OF_PAIR] = torch.cat([contexts.representation, futures.representation], dim=1)
    if futures is None or model.latent is None:
        return features, None
    found = latents(model, contexts.embedding, futures.embedding, seed=seed)
    features["latent sample"] = found.sample
    features["innovation"] = found.innovation
    return features, found.mean_kl


def probes(
    model: FutureModel,
    untrained: FutureModel | None,
    clips: ProbeClips,
    *,
    seed: int,
    futures: Mapping[str, Embeddings] | None = None,
    posterior_branch_accuracy: float | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Probe every target from every kind of feature that may know it.

    Args:
        model: The run's model.
        untrained: The same architecture with random weights, for the column beside; None: no such column.
        clips: Clips with truth.
        seed: Of the split and the draws of r.
        futures: "run" and "random" -> embeddings of the clips' futures in both spaces, if there are any already.
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
    everywhere = torch.ones(len(clips.videos), dtype=torch.bool)
    # The representation of the context is asked for the kick too: more than an untrained encoder sees of it, which is
    # nothing but where walls tell a part, would be a leak.
    of_kick: tuple[str, ...] = ("representation", OF_PAIR, *OF_LATENT)
    asked = [
        (target, target, everywhere, of_kick if target in LATENT_TARGETS else OF_CONTEXT) for target in clips.targets
    ]
    free = everywhere if clips.moves_freely is None else clips.moves_freely
    of_future = [target for target in clips.targets if target in LATENT_TARGETS]
    if kl_nats is None:
        skipped += [f"probe of the {target} from the latent: this model has no latent" for target in of_future]
    if of_future and not free.all():
        if parts.among(free).smallest >= FEWEST_IN_A_PART:
            asked += [(target + WHERE_FREE, target, free, (OF_PAIR, *OF_LATENT)) for target in of_future]
        else:
            skipped.append(f"probes{WHERE_FREE}: there are {int(free.sum())} such clips, which are too few")
    for name, target, kept, kinds in asked:
        split = parts.among(kept)
        values, bootstrap = clips.targets[target][kept], Bootstrap(clips.videos[kept][split.test], seed=seed)
        for kind in kinds:
            if kind not in features:
                continue
            scored = probe(features[kind][kept], values, split, bootstrap)
            untrained_score = (
                probe(beside[kind][kept], values, split, bootstrap).score.value if kind in beside else None
            )
            entry = {
                "target": name,
                "features": kind,
                "score": scored.metric,
                **scored.score.json(),
                "random_encoder": untrained_score,
                "chance": scored.chance,
                "num_test": len(split.test),
            }
            if kind in OF_LATENT:
                entry |= {"kl_nats": kl_nats, "posterior_branch_accuracy": posterior_branch_accuracy}
            entries.append(entry)
    return entries, skipped
