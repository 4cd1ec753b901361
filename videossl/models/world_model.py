"""The world model: an encoder whose embedding is the state, and a transition to the states that may follow."""

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.models.checks import check_counts, check_frames, check_seed, described
from videossl.models.encoder import Encoder
from videossl.models.heads import MLPProjector, Projector
from videossl.models.likelihood import fitted_concentration, log_prob
from videossl.models.pooling import Pooling, pool, pool_frames, pooled_width
from videossl.models.sampling import sample_futures
from videossl.models.surprise import Surprise, embedded_pairs
from videossl.transition import (
    CodebookLatent,
    Codes,
    DiagonalGaussian,
    Distribution,
    GaussianLatent,
    SparseGate,
    Stratified,
    kl_divergence,
)
from videossl.transition.sparse import VALUE_WIDTH
from videossl.types import Embeddings

UNFITTED_CONCENTRATION = 10.0  # that of a temperature of 0.1


class WorldModel(nn.Module):
    """Encode clips, and say which embeddings may come next.

    State = embedding of a short clip (so that velocity is visible), of unit norm. Transition = the editor with a
    sample of the prior. Without a latent the model is deterministic; without an editor it predicts no change.

    Args:
        encoder: Clips (B, T, 3, H, W) in [0, 1] -> tokens (B, T', H', W', E).
        projector: Made with the width of the representation: representation -> embedding.
        latent: Made with the embedding dimension: posterior and prior of r, or gates (`SparseGate`). None for a
            deterministic model. A sparse latent without a prior infers r from a future, but cannot sample futures.
        editor: Made with the embedding and latent dimensions: (state, r) -> predicted state. None for the identity.
        pooling: How tokens become one representation: "mean", "max", "mean_max" or "last".

    Attributes:
        concentration: () float, of the density around a prediction, see `log_prob`; fitted at the end of training.
        clip_frames: Frames of a clip in training, None where nobody said so.
    """

    def __init__(
        self,
        encoder: Encoder,
        projector: Callable[[int], Projector] = MLPProjector,
        latent: Callable[[int], GaussianLatent | CodebookLatent | SparseGate] | None = None,
        editor: Callable[[int, int], nn.Module] | None = None,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        if latent is not None and editor is None:
            raise UsageError("a latent without an editor has no effect. Add model.editor, or set model.latent to null.")
        encoder.check_attributes()
        self.encoder = encoder
        self.pooling = pooling
        self.representation_dim = pooled_width(encoder.width, pooling)
        self.projector = projector(self.representation_dim)
        self.embedding_dim = self.projector.embedding_dim
        self.latent = latent(self.embedding_dim) if latent is not None else None
        self.latent_dim = self.latent.latent_dim if self.latent is not None else 0
        self.editor = editor(self.embedding_dim, self.latent_dim) if editor is not None else None
        self.clip_frames: int | None = None
        self.concentration: Tensor
        self.register_buffer("concentration", torch.tensor(UNFITTED_CONCENTRATION))

    # ---- training: float pixels in, raw embeddings out ---------------------------------------------------------

    def represent(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Encode float clips.

        Args:
            clips: (B, T, 3, H, W) float in [0, 1].

        Returns:
            Representation (B, E) and frame vectors (B, T', E).
        """
        tokens = self.encoder(clips)
        return pool(tokens, self.pooling), pool_frames(tokens)

    def embed_views(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Encode float views in one pass.

        Args:
            clips: (B, V, T, 3, H, W) float in [0, 1].

        Returns:
            Representations (V, B, E) and raw embeddings (V, B, D).
        """
        num_views = clips.shape[1]
        representation, _ = self.represent(rearrange(clips, "b v t c h w -> (v b) t c h w"))
        embedding = self.projector(representation)
        return (
            rearrange(representation, "(v b) e -> v b e", v=num_views),
            rearrange(embedding, "(v b) d -> v b d", v=num_views),
        )

    # ---- use: uint8 frames in, no gradients ---------------------------------------------------------------------

    @torch.no_grad()
    def embed(self, frames: Tensor) -> Embeddings:
        """Embed clips.

        Args:
            frames: (B, T, 3, H, W) uint8, RGB; H and W multiples of the encoder's patch size. T = 1 is an image.

        Returns:
            `Embeddings`: representation (B, E), embedding (B, D) of unit norm, frames (B, T', E).

        Raises:
            UsageError: Frames of another type or shape.
        """
        representation, vectors = self.represent(self._pixels(frames))
        return Embeddings(representation, F.normalize(self.projector(representation), dim=-1), vectors)

    @torch.no_grad()
    def tokens(self, frames: Tensor) -> Tensor:
        """The tokens of clips, before any pooling: frames (B, T, 3, H, W) uint8 -> (B, T', H', W', E), any scale.

        Raises:
            UsageError: Frames of another type or shape.
        """
        return self.encoder(self._pixels(frames))

    def _pixels(self, frames: Tensor) -> Tensor:
        """Frames (B, T, 3, H, W) uint8 -> the same from 0 to 1."""
        check_frames(frames)
        return frames.to(self.encoder.pixel_mean) / 255

    @torch.no_grad()
    def sample_futures(
        self,
        frames: Tensor,
        *,
        num_samples: int,
        horizon: int = 1,
        seed: int = 0,
        latent: Tensor | None = None,
        stratified: bool = False,
    ) -> Tensor:
        """Sample futures of a context: chain the transition, with a fresh r from the prior at each step.

        Giving r steers: the first steps are taken with it, and only later ones draw theirs from the prior. The r that
        `infer_latent` reads from one video asks what the same change would make of another context.

        Args:
            frames: Contexts (B, T, 3, H, W) uint8, or their states (B, D): `embed(frames).embedding`.
            num_samples: Futures K per context, >= 1. All K are equal if the model is deterministic.
            horizon: Steps S, >= 1; one step is the distance in time between the views in training.
            seed: Of the samples. The same seed gives the same futures, whatever was sampled before; those of a context
                depend on its place in the batch, and not on what else is in it.
            latent: r of the first step (B, R), or of the first steps (B, S', R), S' <= S. B may be 1, and one r (R,):
                all contexts are steered alike then. None: all from the prior.
            stratified: Spread the K futures of a context evenly over what the prior holds possible. Each is drawn with
                the same probabilities as without, but they are not independent any more: what has a probability of p
                comes about K p times, less by chance. Fewer find every future. What counts on independent draws (the
                spread of an ensemble, rank histograms) needs the others. Each step is spread by itself, and whole
                futures of several steps are not.

        Returns:
            (B, K, S, D) float, unit norm: embeddings of possible futures.

        Raises:
            UsageError: Wrong shapes or numbers, a sparse latent without a prior, or `stratified` with a prior that has
                no `stratified_sample`: one of your own.
        """
        check_counts(num_samples=num_samples, horizon=horizon)
        check_seed(seed)
        return sample_futures(
            self,
            self._state(frames),
            num_samples=num_samples,
            horizon=horizon,
            seed=seed,
            latent=latent,
            stratified=stratified,
        )

    @torch.no_grad()
    def log_prob(self, context: Tensor, future: Tensor, *, num_samples: int = 64, seed: int = 0) -> Tensor:
        """How likely this future is after this context, in nats relative to the uniform distribution on the sphere.

        p(future | context) is the mean, over r from the prior, of a von Mises-Fisher density around the prediction
        with that r (concentration: `concentration`). It is estimated by importance sampling,
        `log 1/K sum_k p(future | context, r_k) p(r_k | context) / m(r_k)`, in which half of the r_k are from the
        posterior, the others from the prior, and m is the mixture of both: no weight is above 2. In expectation it is
        a lower bound that rises to the truth with K (arXiv:1509.00519). Exact for a deterministic model, and for
        codes, which are added up. Differences between futures of one context, and a softmax over candidates, need no
        normalisation.

        Args:
            context: Frames (B, T, 3, H, W) uint8 or states (B, D).
            future: The same of the futures.
            num_samples: Draws K of r per pair, >= 1.
            seed: Of the draws.

        Returns:
            (B,) float64; 0 is what a model that knows nothing says.

        Raises:
            UsageError: Wrong shapes or numbers, or a sparse latent without a prior.
        """
        self.check_prior()
        check_counts(num_samples=num_samples)
        check_seed(seed)
        return log_prob(self, *self._pairs(context, future), num_samples=num_samples, seed=seed)

    @torch.no_grad()
    def fit_concentration(self, context: Tensor, future: Tensor) -> None:
        """Set `concentration` by how well contexts tell their futures from one another's; both as in `log_prob`."""
        self.check_prior()
        self.concentration.fill_(fitted_concentration(self, *self._pairs(context, future)))

    @torch.no_grad()
    def surprise(
        self,
        video: Tensor,
        *,
        clip_frames: int | None = None,
        shift: int | None = None,
        every: int = 1,
        num_samples: int = 64,
        seed: int = 0,
        batch_size: int = 64,
    ) -> Surprise:
        """How little each clip of a video was foreseen from the clip before it.

        Args:
            video: Frames (T, 3, H, W) uint8 of one video, at the frame rate of training.
            clip_frames: Frames of a clip. None: as in training (`clip_frames` of a model that `videossl.load` gave).
            shift: Frames from the start of a clip to the start of the one that is foreseen. None: `clip_frames`.
            every: Frames from one context to the next, >= 1.
            num_samples: As in `log_prob`.
            seed: As in `log_prob`.
            batch_size: Clips that are encoded at once.

        Returns:
            `Surprise`: frame numbers (n,) and nats (n,).

        Raises:
            UsageError: No frames or others, wrong numbers, a video shorter than a context and its future, or a sparse
                latent without a prior.
        """
        self.check_prior()
        check_counts(num_samples=num_samples)
        length = self.clip_frames if clip_frames is None else clip_frames
        if length is None:
            raise UsageError("this model does not say how long its clips were. Give clip_frames.")
        shift = length if shift is None else shift
        starts, contexts, futures = embedded_pairs(
            self, video, clip_frames=length, shift=shift, every=every, batch_size=batch_size
        )
        nats = -self.log_prob(contexts, futures, num_samples=num_samples, seed=seed)
        return Surprise(starts + shift, nats)

    @torch.no_grad()
    def mean_future(self, frames: Tensor) -> Tensor:
        """The one prediction with r at the mean of the prior: frames or states of B contexts -> (B, D) of unit norm."""
        state = self._state(frames)
        prior = self.prior(state)
        return self.transition(state, prior.mean if prior is not None else None)

    @torch.no_grad()
    def posterior_futures(self, context: Tensor, future: Tensor, *, num_samples: int, seed: int = 0) -> Tensor:
        """Predictions with r inferred from the true future: what the latent could tell, not what the model can foresee.

        Args:
            context: Frames (B, T, 3, H, W) uint8 or states (B, D).
            future: The same of the futures.
            num_samples: Draws K of r per pair, >= 1.
            seed: Of the draws.

        Returns:
            (B, K, D) of unit norm.

        Raises:
            UsageError: Wrong shapes or numbers.
        """
        check_counts(num_samples=num_samples)
        check_seed(seed)
        state, target = (repeat(x, "b d -> b k d", k=num_samples) for x in self._pairs(context, future))
        if self.latent is None:
            return self.transition(state, None)
        generator = torch.Generator(device=state.device).manual_seed(seed)
        if isinstance(self.latent, SparseGate):
            return self.transition(state, self.latent.gates(state, target).sample(generator))
        return self.transition(state, self.latent.posterior(state, target).sample(generator))

    @torch.no_grad()
    def infer_latent(self, context: Tensor, future: Tensor) -> Tensor:
        """r of contexts and futures, frames (B, T, 3, H, W) uint8 or states (B, D), -> (B, R).

        The posterior mean; of a sparse latent the values of the gates that are more likely open than shut, else 0.

        Raises:
            UsageError: Wrong shapes, or no latent.
        """
        state, target = self._pairs(context, future)
        if isinstance(self.latent, SparseGate):
            return self.latent.gates(state, target).most_likely()
        return self.latent_distributions(state, target)[0].mean

    @torch.no_grad()
    def kl_nats(self, context: Tensor, future: Tensor, *, num_samples: int = 16, seed: int = 0) -> Tensor:
        """KL(q || p) of the latent in nats: what r tells of each future beyond its context.

        Exact between Gaussians and between codes, otherwise the mean of `log q(r) - log p(r)` over draws of r from q.

        Args:
            context: Frames (B, T, 3, H, W) uint8 or states (B, D).
            future: The same of the futures.
            num_samples: Draws K of r per pair where they are needed, >= 1.
            seed: Of the draws.

        Returns:
            (B,) float; an estimate can be below 0.

        Raises:
            UsageError: Wrong shapes or numbers, no latent, or one without a prior.
        """
        check_counts(num_samples=num_samples)
        check_seed(seed)
        state, target = self._pairs(context, future)
        posterior, prior = self.latent_distributions(state, target)
        if isinstance(posterior, DiagonalGaussian) and isinstance(prior, DiagonalGaussian):
            return kl_divergence(posterior, prior)
        if isinstance(posterior, Codes) and isinstance(prior, Codes):
            return posterior.kl(prior)
        generator = torch.Generator(device=state.device).manual_seed(seed)
        draws = [posterior.sample(generator) for _ in range(num_samples)]
        return torch.stack([posterior.log_prob(r) - prior.log_prob(r) for r in draws]).mean(0)

    @torch.no_grad()
    def latent_distributions(self, context: Tensor, future: Tensor) -> tuple[Distribution, Distribution]:
        """Posterior q(r | context, future) and prior p(r | context) for states (..., D).

        Gaussian where they have a `log_variance`; codes and gates have point masses and no density of length.

        Raises:
            UsageError: No latent, or one without a prior.
        """
        prior = self.prior(context)
        if prior is None:
            raise UsageError("this model has no latent: it was trained with model.latent null.")
        if isinstance(self.latent, SparseGate):
            return self.latent.gates(context, future).widened(VALUE_WIDTH), prior
        assert self.latent is not None  # it has a prior; for the type checker
        return self.latent.posterior(context, future), prior

    def check_prior(self) -> None:
        """Refuse to foresee with a latent that cannot.

        Raises:
            UsageError: The latent is sparse and has no prior.
        """
        if self.latent is not None and self.latent.prior_net is None:
            raise UsageError(
                "this model's latent is sparse and has no prior, so r cannot be drawn without the future. Ask embed or "
                "infer_latent, or fit a prior: videossl refit-prior."
            )

    @property
    def foresees(self) -> bool:
        """Whether it can say what may follow: it has a transition, and r can be drawn, or is not needed."""
        return self.editor is not None and (self.latent is None or self.latent.prior_net is not None)

    @property
    def stratifies(self) -> bool:
        """Whether `sample_futures` can spread samples evenly: it draws r, from a prior that can."""
        if not self.foresees or self.latent is None:
            return False
        with torch.no_grad():
            return isinstance(self.prior(self.encoder.pixel_mean.new_zeros(1, self.embedding_dim)), Stratified)

    def prior(self, state: Tensor) -> Distribution | None:
        """p(r | state) of states (..., D) of unit norm; None for a deterministic model.

        Raises:
            UsageError: The latent is sparse and has no prior.
        """
        self.check_prior()
        net = self.latent.prior_net if self.latent is not None else None
        if net is None:
            return None
        distribution: Distribution = net(state)
        return distribution

    def transition(self, state: Tensor, latent: Tensor | None) -> Tensor:
        """One step: states (..., D) of unit norm and r (..., R) or None -> next states (..., D) of unit norm."""
        return F.normalize(self.editor(state, latent), dim=-1) if self.editor is not None else state

    def reinitialised(self, seed: int) -> Self:
        """The same architecture with fresh random weights: the control that has learnt nothing."""
        fresh = copy.deepcopy(self)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # Children first: a parent's own start (an editor that begins as the identity) has the last word.
            for module in reversed(list(fresh.modules())):
                reset = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()
        return fresh

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # Weights from before there was a density.
        state_dict.setdefault(f"{prefix}concentration", self.concentration)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _state(self, frames_or_state: Tensor) -> Tensor:
        """Frames (B, T, 3, H, W) uint8 -> states (B, D); states pass, normalised, of the model's type and device."""
        if not isinstance(frames_or_state, Tensor) or frames_or_state.ndim not in (2, 5):
            raise UsageError(
                f"expected frames of shape (B, T, 3, H, W) uint8 or states of shape (B, {self.embedding_dim}) in a "
                f"torch.Tensor, got {described(frames_or_state)}. One clip or state needs a leading axis: [None]."
            )
        if frames_or_state.ndim == 5:
            return self.embed(frames_or_state).embedding
        if frames_or_state.shape[1] != self.embedding_dim:
            raise UsageError(
                f"expected states of shape (B, {self.embedding_dim}), got {described(frames_or_state)}. Give the "
                "`embedding` that `embed` of this model gives."
            )
        return F.normalize(frames_or_state.to(self.encoder.pixel_mean), dim=-1)

    def _pairs(self, context: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
        """States of contexts and of as many futures, (B, D) each; both as `_state` takes them."""
        if isinstance(context, Tensor) and isinstance(future, Tensor) and context.shape[:1] != future.shape[:1]:
            raise UsageError(
                f"expected a future for each context, got {described(context)} and {described(future)}. Give as many "
                "of both."
            )
        return self._state(context), self._state(future)
