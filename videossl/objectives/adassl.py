"""AdaSSL: an objective on edited anchors plus the price of the latent that edits them (arXiv:2602.02381).

`I(f(x); f(x+)) = I(f(x), r; f(x+)) - I(r; f(x+) | f(x))`: the first term is bounded by an objective on the edited
embedding (contrastive, distillation or prediction), the second by `KL(q(r | x, x+) || p(r | x))` or held down by a
penalty on the number of coordinates of r that speak at all.
Shapes: V views, B videos, D embedding, R latent, P ordered pairs of the view graph.
Not here: the networks (transition/); they come in as anything with the methods of `transition.protocols`.
"""

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective, TeacherObjective
from videossl.objectives.beta import Beta, FixedBeta
from videossl.objectives.codes import infer_codes
from videossl.objectives.contrast import unit
from videossl.objectives.latent import Inferred, infer_sparse, infer_variational
from videossl.objectives.rollout import over_steps, roll_out, single_steps
from videossl.objectives.view_graph import ViewGraph, take
from videossl.transition.precision import at_least_float32
from videossl.transition.protocols import CodedLatent, Editor, Latent, SparseLatent, VariationalLatent


class AdaSSL(nn.Module):
    """`objective(edited anchors) + mean_P beta[p] * cost[p]`, with one latent for every pair of the view graph.

    For every pair (l, m): r[l>m] is inferred from u[l] and u[m], `p[l>m] = t(u[l], r[l>m])`, and the objective scores
    p[l>m] against u[m]. What r costs, averaged over videos:

    - `VariationalLatent` (AdaSSL-V): r ~ q(r | u[l], u[m]), and the cost is KL(q || p(r | u[l])), summed over R, in
      nats. Terms: `kl_nats`, `kl_nats_per_pair` (P,), `active_units` (coordinates of r whose KL, averaged over videos
      and pairs, is above 0.01 nats).
    - `SparseLatent` (AdaSSL-S): r = gate * value, and the cost is the expected number of open gates,
      `sum_R sigmoid(logits)`. Terms: `open_gates`, `open_gates_per_pair` (P,). The unit of `InformationBudget(nats)`
      is then a gate: `nats=2.0` holds two gates of every pair open on average.

    - `CodedLatent` (AdaSSL-V with few codes): r ~ q, q exact as all codes are tried, see `codes.infer_codes`; the cost
      is KL(q || p). Terms: `kl_nats`, `kl_nats_per_pair`, `codes_used` (perplexity of the codes over the batch),
      `posterior_net_nats` (what the net that learns the posterior still misses).

    All have the terms `objective`, `penalty`, `beta` and `beta_per_pair` (P,), beside those of the objective.
    With an editor that is the identity and beta = 0 it is the objective itself (one that `reads_scale`: with
    `normalise` at False or None). Without a latent the editor alone
    predicts and there is no penalty: the deterministic twin.

    What r is inferred from, as in the authors' code: the context is always u[l]; the future is read from the inference
    view if there is one; else, where a `TeacherObjective` is given the teacher's `targets`, from those, without
    gradient (what is to be predicted is what r has to tell); else from u[m].

    Args:
        objective: What the edited anchors are trained by; its view graph is used.
        latent: What infers r, or None for the deterministic twin.
        editor: Moves the context to the future.
        beta: Weight of the cost; needed if there is a latent, unused without. Updated in training mode
            only. A number is a fixed one.
        normalise: Whether latent and editor see embeddings of unit norm (as the world model does), or the raw ones
            (as the authors' code does). None: unit norm, unless the objective `reads_scale`.
        free_nats: Variational latents only: nats of every coordinate of r that are free for every pair: a coordinate
            whose KL, averaged over the batch, is below has no gradient from the cost (free bits, arXiv:1606.04934).
            The KL that is logged, and that the controller of beta holds at its budget, is the whole one; the penalty
            is at least `beta * R * free_nats`.
        kl_balance: Variational latents only: share of the gradient of the KL that goes to the prior, the rest goes to
            the posterior; the value stays (arXiv:2010.02193, which uses 0.8). None: both get the whole of theirs.
        rollout: Predict later views by several steps of the editor, see `rollout.roll_out`: r is inferred and paid for
            step by step, (0, 1), (1, 2), ..., and what stands here per pair is per step. Needs pairs forward in time;
            with two views it changes nothing.
    """

    def __init__(
        self,
        objective: MultiViewObjective,
        latent: Latent | None,
        editor: Editor,
        beta: Beta | float | None = None,
        normalise: bool | None = None,
        free_nats: float = 0.0,
        kl_balance: float | None = None,
        rollout: bool = False,
    ) -> None:
        super().__init__()
        _check(objective, latent, beta, free_nats, kl_balance)
        self.objective = objective
        self.latent = latent
        self.editor = editor
        self.beta = FixedBeta(beta) if isinstance(beta, int | float) else beta
        self.normalise = not objective.reads_scale if normalise is None else normalise
        self.free_nats = free_nats
        self.kl_balance = kl_balance
        self.rollout = rollout

    def forward(
        self,
        embeddings: Tensor,
        inference: Tensor | None = None,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        **given: Tensor | None,
    ) -> Loss:
        """Predict every pair's target from its anchor and a draw of r, and score the predictions.

        Args:
            embeddings: (V, B, D), raw.
            inference: (V, B, D), raw: second augmentations of the views. r is inferred from them instead of the
                futures, which keeps pixel noise out of r; they are no targets. None: see above.
            noise: (P, B, R) for r: standard normal for a variational latent, uniform in [0, 1] for a sparse one.
                None: drawn here.
            generator: Where the noise comes from if it is drawn here, on the device of the embeddings.
            given: Passed on to the objective, by name: the teacher's `targets`, a `similarity`, which views are
                `present` (V, B); the cost of r is then averaged over the pairs that are there.

        Returns:
            The loss in nats, if the objective is in nats.

        Raises:
            UsageError: Wrong shapes, or what the objective refuses.
        """
        graph = self._graph(embeddings, inference)
        states = self._states(embeddings)
        steps = self._steps(graph, given.get("present"))
        contexts = steps.anchors(states)  # (P, B, D)
        if self.latent is None or self.beta is None:
            loss = self.objective(embeddings, self._predicted(states, contexts, None, graph), **given)
            return Loss(loss.total, {**loss.terms, "objective": loss.total.detach()})

        weights = self.beta.weights(len(steps), contexts.dtype)
        inferred = self._infer(
            take(states, steps.anchor_views),
            contexts,
            steps.targets(self._read_from(states, inference, given.get("targets"))),
            steps,
            noise,
            generator,
            given.get("present"),
            weights,
            embeddings,
            given.get("targets"),
        )
        loss = self.objective(embeddings, self._predicted(states, contexts, inferred.latent, graph), **given)
        penalty = (weights * inferred.charged).mean()
        terms = {
            "objective": loss.total.detach(),
            "penalty": penalty.detach(),
            "beta": weights.mean(),
            "beta_per_pair": weights,
        }
        if self.training:
            self.beta.update(inferred.measured)
        total = loss.total + penalty
        if inferred.learned is not None:
            total = total + inferred.learned
        return Loss(total, {**loss.terms, **terms, **inferred.terms})

    def _steps(self, graph: ViewGraph, present: Tensor | None) -> ViewGraph:
        """The pairs that r is inferred for."""
        if not self.rollout:
            return graph
        if present is not None:
            raise UsageError("a rollout walks through all views, got some that are missing. Set rollout to false.")
        return single_steps(graph)

    def _predicted(self, states: Tensor, contexts: Tensor, latent: Tensor | None, graph: ViewGraph) -> Tensor:
        """The predictions of all pairs of the graph, (P, B, D)."""
        if not self.rollout:
            return self.editor(contexts, latent)
        return roll_out(self.editor, states, latent, graph, normalise=self.normalise)

    def _infer(
        self,
        anchors: Tensor,
        contexts: Tensor,
        futures: Tensor,
        graph: ViewGraph,
        noise: Tensor | None,
        generator: torch.Generator | None,
        present: Tensor | None,
        weights: Tensor,
        embeddings: Tensor,
        targets: Tensor | None,
    ) -> Inferred:
        both = None if present is None else graph.anchors(present) & graph.targets(present)
        if isinstance(self.latent, CodedLatent):
            if noise is not None:
                raise UsageError("codes are drawn, not moved by noise: give a generator in its place.")
            return infer_codes(
                self.latent,
                self.editor,
                over_steps(self.objective, graph) if self.rollout else self.objective,
                embeddings,
                contexts,
                futures,
                weights,
                targets=targets,
                generator=generator,
                present=both,
            )
        if isinstance(self.latent, VariationalLatent):
            return infer_variational(
                self.latent,
                anchors,
                contexts,
                futures,
                graph,
                free_nats=self.free_nats,
                kl_balance=self.kl_balance,
                noise=noise,
                generator=generator,
                present=both,
            )
        assert self.latent is not None  # the caller has looked; for the type checker
        return infer_sparse(self.latent, contexts, futures, noise=noise, generator=generator, present=both)

    def _read_from(self, states: Tensor, inference: Tensor | None, targets: Tensor | None) -> Tensor:
        """Where r is inferred from: states (V, B, D)."""
        if inference is not None:
            return self._states(inference)
        if targets is not None and isinstance(self.objective, TeacherObjective):
            if targets.shape != states.shape:
                raise UsageError(
                    f"expected the teacher's targets of the shape of the embeddings, {tuple(states.shape)}, got "
                    f"{tuple(targets.shape)}. Embed the same views with the teacher."
                )
            return self._states(targets.detach())
        return states

    def _states(self, embeddings: Tensor) -> Tensor:
        return unit(embeddings) if self.normalise else at_least_float32(embeddings)

    def _graph(self, embeddings: Tensor, inference: Tensor | None) -> ViewGraph:
        if embeddings.ndim != 3 or (inference is not None and inference.shape != embeddings.shape):
            got = "" if inference is None else f" and inference {tuple(inference.shape)}"
            raise UsageError(
                f"expected embeddings of shape (V, B, D), inference alike, got {tuple(embeddings.shape)}{got}."
            )
        return ViewGraph.of(self.objective.graph, embeddings.shape[0])


def _check(objective: object, latent: object, beta: object, free_nats: float, kl_balance: float | None) -> None:
    if not isinstance(objective, MultiViewObjective):
        got = getattr(objective, "__name__", type(objective).__name__)
        raise UsageError(f"expected a multi-view objective like MVInfoNCE(...), got {got}. Give the module, made.")
    if not isinstance(beta, Beta | int | float | None):
        raise UsageError(f"expected beta as a number or a Beta like InformationBudget(...), got {type(beta).__name__}.")
    is_variational = isinstance(latent, VariationalLatent) and not isinstance(latent, CodedLatent)
    if latent is not None and not is_variational and not isinstance(latent, SparseLatent | CodedLatent):
        raise UsageError(
            f"expected a latent with the methods posterior and prior, or gates, got a {type(latent).__name__}. "
            "Use GaussianLatent or SparseGate."
        )
    if latent is not None and beta is None:
        raise UsageError("a latent needs a price, got beta=None. Give InformationBudget(nats=...) or FixedBeta(...).")
    if not 0 <= free_nats < float("inf") or (kl_balance is not None and not 0 <= kl_balance <= 1):
        raise UsageError(
            f"expected free_nats >= 0 and kl_balance between 0 and 1, got {free_nats} and {kl_balance}. "
            "DreamerV2 uses kl_balance=0.8."
        )
    if not is_variational and (free_nats or kl_balance is not None):
        raise UsageError(
            f"{'no latent' if latent is None else type(latent).__name__} has no KL to free or balance, got "
            f"free_nats={free_nats} and kl_balance={kl_balance}. Leave them out, or use GaussianLatent."
        )
