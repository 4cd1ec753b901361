"""Arrays for looking at predictions as pixels: by a decoder that learns on clips which are not shown."""

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from videossl.evaluation.gallery import NUM_CONTEXTS, NUM_SHOWN, Array, principal_plane
from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.landing import lands_on
from videossl.evaluation.latents import latents
from videossl.evaluation.pixel_decoder import FEWEST_CLIPS, PixelDecoder, fit_pixel_decoder
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.space import Space, embed_clips

NUM_POINTS = 800


def decoder_for(
    model: FutureModel, held_out: HeldOut, space: Space, tuning: Tensor, *, num_steps: int, seed: int
) -> PixelDecoder | None:
    """A decoder of this space, from clips of which none is shown: those that noise is tuned on, and fresh ones.

    Args:
        model: Embeds; its weights stay as they are.
        held_out: The clips.
        space: All contexts in its space.
        tuning: Rows that are not scored.
        num_steps: Of training.
        seed: Of the training.

    Returns:
        None where there are fewer clips than a decoder needs.
    """
    points, clips = [space.futures[tuning]], [held_out.futures[tuning]]
    for states, pictures in ((space.branches, held_out.branches), (space.decoys, held_out.decoys)):
        if states is not None and pictures is not None:
            points.append(states[tuning].flatten(0, 1))
            clips.append(pictures[tuning].flatten(0, 1))
    if held_out.world is None:
        points.append(space.contexts[tuning])
        clips.append(held_out.contexts[tuning])
    elif held_out.probe is not None:
        points.append(embed_clips(model, held_out.probe.futures, description="embedding (decoder)").embedding)
        clips.append(held_out.probe.futures)
    if sum(len(part) for part in clips) < FEWEST_CLIPS:
        return None
    return fit_pixel_decoder(torch.cat(points), torch.cat(clips), num_steps=num_steps, seed=seed)


def decoded_arrays(
    decoder: PixelDecoder, held_out: HeldOut, space: Space, draws: Tensor, scored: Tensor
) -> dict[str, Array]:
    """What `gallery.npz` holds of pixels that no camera saw, for the contexts that `gallery` shows.

    Args:
        decoder: Of this space.
        held_out: The clips.
        space: All contexts in the space of the run.
        draws: (n', K', D) sampled futures of the scored contexts; the first 8 are shown.
        scored: (n',) their rows.

    Returns:
        decoded_observed (G, T, h, w, 3) uint8, what happened, embedded and drawn: the best that the decoder can do;
        decoded_samples (G, 8, T, h, w, 3); decoder_explained (), see `PixelDecoder`. Where branches can be counted:
        branch_chances and branch_shares (G, M), how often each comes true and how often the draws land on it, and
        decoded_branches (G, M, T, h, w, 3), the first draw that landed there, black where none did.
    """
    shown = scored[:NUM_CONTEXTS]
    arrays: dict[str, Array] = {
        "decoded_observed": _pictures(decoder.draw(space.futures[shown])),
        "decoded_samples": _pictures(decoder.draw(draws[: len(shown), :NUM_SHOWN])),
        "decoder_explained": np.array(decoder.explained),
    }
    if not held_out.has_branches or space.branches is None or held_out.branch_probabilities is None:
        return arrays
    chances = held_out.branch_probabilities[shown].float()
    decoys = None if space.decoys is None else space.decoys[shown]
    landings = lands_on(draws[: len(shown)], space.branches[shown], decoys, chances)  # (G, K')
    num_branches = chances.shape[1]
    landed = landings[:, None] == torch.arange(num_branches)[:, None]  # (G, M, K')
    first = landed.byte().argmax(dim=2)  # (G, M)
    points = draws[: len(shown)].gather(1, first[..., None].expand(-1, -1, draws.shape[2]))
    drawn = decoder.draw(points) * landed.any(dim=2)[..., None, None, None, None]
    return arrays | {
        "branch_chances": chances.numpy(),
        "branch_shares": landed.float().mean(dim=2).numpy(),
        "decoded_branches": _pictures(drawn),
    }


def latent_plane(model: FutureModel, held_out: HeldOut, *, seed: int) -> dict[str, Array]:
    """Where r lies for kicks that are known; empty where there is no latent or nothing is known.

    Args:
        model: The run's model.
        held_out: Of its probe clips the first 800 are taken.
        seed: Of the draws of r.

    Returns:
        latent_sample, latent_innovation and latent_kick, (n, 2) float32 each: the first two principal components of r
        drawn from the posterior and of its innovation, and the true kick in px/frame, summed over the objects.
    """
    probe = held_out.probe
    if model.latent is None or probe is None or "kick" not in probe.targets:
        return {}
    contexts, futures = (
        embed_clips(model, clips[:NUM_POINTS], description="embedding (plane of r)").embedding
        for clips in (probe.contexts, probe.futures)
    )
    found = latents(model, contexts, futures, seed=seed)
    return {
        "latent_sample": principal_plane(found.sample).numpy(),
        "latent_innovation": principal_plane(found.innovation).numpy(),
        "latent_kick": probe.targets["kick"][:NUM_POINTS].float().numpy(),
    }


def _pictures(clips: Tensor) -> Array:
    return rearrange(clips, "... t c h w -> ... t h w c").contiguous().numpy()
