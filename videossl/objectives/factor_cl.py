"""FactorCL: what two streams share and what is each one's own (arXiv:2306.05268).

Two streams X1, X2 (appearance and motion; video and its sound), and a condition C: their augmentations (X1', X2')
without labels, the label Y with them. From bounds of information, all in nats and averaged over the batch:

| factor | value | with labels |
|---|---|---|
| shared S | `I_nce(X1;X2) - I_club(X1;X2 | C)` | the same |
| unique U1 | `I_nce(X1;X1') - I_club(X1;X2) + I_nce(X1;X2 | C)` | X1' is Y |
| unique U2 | `I_nce(X2;X2') - I_club(X1;X2) + I_nce(X1;X2 | C)` | X2' is Y |

I_nce is a lower bound and is made large, I_club an upper bound and is made small, by the embeddings. The critics of
I_nce make it large as well. Those of I_club must not make it small: they learn from an InfoNCE of their own, on
embeddings without gradient (`FactorCL.learning_loss`).
Not here: the bounds (information_bounds.py), the critics (critics.py), the optimizers (training/).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.base import Loss
from videossl.objectives.contrast import full_precision
from videossl.objectives.critics import Activation, PairCritic, mlp
from videossl.objectives.information_bounds import club_bound, info_nce_bound

SumOf = Literal["factors", "bounds"]
Heads = Literal["none", "per_factor", "per_bound"]
Conditional = Literal["chain_rule", "concatenated"]


class FactorBounds(NamedTuple):
    """The six bounds, () each, in nats; in the order of the authors' sum.

    Attributes:
        nce_12: I_nce(X1;X2), lower bound.
        club_12: I_club(X1;X2), upper bound.
        nce_1: I_nce(X1;X1'), or I_nce(X1;Y).
        nce_2: I_nce(X2;X2'), or I_nce(X2;Y).
        nce_12_given: I_nce(X1;X2 | C).
        club_12_given: I_club(X1;X2 | C).
    """

    nce_12: Tensor
    club_12: Tensor
    nce_1: Tensor
    nce_2: Tensor
    nce_12_given: Tensor
    club_12_given: Tensor


def factor_cl(bounds: FactorBounds, *, sum_of: SumOf = "factors") -> Loss:
    """The objective from its six bounds: see the table at the head of this file.

    With `sum_of="factors"` it is `-(S + U1 + U2)`, where I_club(X1;X2) and I_nce(X1;X2 | C) count twice. With "bounds"
    each counts once, `-(sum of the lower bounds) + (sum of the upper bounds)`, which is the authors' total:
    `-(S + U1 + U2) - I_club(X1;X2) + I_nce(X1;X2 | C)`. Their six terms are these bounds with the sign of the total
    (the InfoNCE ones negative). 0 at collapse, where every bound is.

    Args:
        bounds: () each, in nats.
        sum_of: "factors" or "bounds".

    Returns:
        Loss: total, to be minimised; terms `shared`, `unique_1`, `unique_2` and the six bounds, in nats, information
        positive.

    Raises:
        UsageError: An unknown sum.
    """
    _one_of("sum_of", sum_of, ("factors", "bounds"))
    shared = bounds.nce_12 - bounds.club_12_given
    both = bounds.nce_12_given - bounds.club_12
    unique_1, unique_2 = bounds.nce_1 + both, bounds.nce_2 + both
    total = -(shared + unique_1 + unique_2) if sum_of == "factors" else -(shared + bounds.nce_1 + bounds.nce_2 + both)
    terms = {"shared": shared, "unique_1": unique_1, "unique_2": unique_2, **bounds._asdict()}
    return Loss(total, {name: term.detach() for name, term in terms.items()})


def _one_of(name: str, got: str, allowed: tuple[str, ...]) -> None:
    if got not in allowed:
        raise UsageError(f"expected {name} to be one of {', '.join(allowed)}, got {got!r}.")


_SHARED = ("nce_12", "club_12_given")  # the bounds that factor S is made of; the other four make U1 and U2


class FactorCL(nn.Module):
    """FactorCL on embeddings of two streams, with the critics that it needs and heads for its factors.

    The embeddings (B, D1), (B, D2) are raw vectors and are NOT normalised: heads and critics see them as they are, so
    their scale matters. Value and terms are those of `factor_cl`; chance level 0 (collapsed embeddings).

        objective = FactorCL(128, 64)  # widths of the embeddings of encoder_1 and encoder_2
        critics = torch.optim.Adam(objective.critic_parameters(), 1e-4)
        encoders = [*encoder_1.parameters(), *encoder_2.parameters()]
        others = torch.optim.Adam([*encoders, *objective.non_critic_parameters()], 1e-4)
        for x1, x2, x1_aug, x2_aug in loader:
            streams = encoder_1(x1), encoder_2(x2), encoder_1(x1_aug), encoder_2(x2_aug)
            others.zero_grad(); objective(*streams).total.backward(); others.step()
            for _ in range(5):  # as published, who draw a new batch for each
                critics.zero_grad(); objective.learning_loss(*streams).total.backward(); critics.step()

    The total has no gradient for the frozen critics and `learning_loss` none for anything else, so
    `(objective(...).total + objective.learning_loss(...).total).backward()` with one optimizer over everything is the
    same with one critic step, taken at once (and leaves no parameter without a gradient, which DDP asks for).

    **The condition C** is [X1', X2'], or Y with labels. "chain_rule": `I(X1;X2 | C) = I(X1; [X2, C]) - I(X1; C)`, each
    from the bound of its kind. With optimal critics the difference of the two CLUBs is an upper bound, 0 if X1 and X2
    are independent given C; the difference of the two InfoNCEs is exact for large B, no strict bound (each is at most
    log B). The first difference and the subtracted InfoNCE are held at 0 or above. "concatenated" is the authors'
    code: one critic on [X1, X1'] and [X2, X2'] ([X1, Y] and [X2, Y]). Its negatives are not of the same condition, so
    it bounds I(X1,X1'; X2,X2') and not the conditional information: with good critics its CLUB is never below
    I(X1;X2), and S comes out at 0 or below however much the streams share.

    **Heads** are MLPs of two hidden layers, as wide as their stream. On one and the same embedding ("none") the factors
    ask for opposite things: S for a large I(X1;X2), U for a small one. "per_factor": one for S and one for U in each
    stream. "per_bound": one for each bound, as published. They train with the encoders, those of CLUB bounds too.

    Relation to the authors' code: `heads="per_bound", conditional="concatenated", diagonal_kept=True,
    sum_of="bounds"` are the authors' total and learning loss, except that their scripts disagree on the condition: the
    synthetic and IRFL ones put [X1, X1] and [X2, X2] into the CLUB with condition, the synthetic supervised one Y on
    the side of X1 only, and the number of the class where here is a one-hot vector. All are this module at special
    weights (tests/objectives/test_factor_cl.py). Theirs give the embeddings a gradient in the learning loss, and the
    CLUB critics one in the total, and throw both away.

    Args:
        dim_1: D1.
        dim_2: D2.
        label_dim: Supervised: number of classes, or width of the label vectors. None: self-supervised.
        heads: "none", "per_factor" or "per_bound".
        conditional: "chain_rule" or "concatenated".
        sum_of: See `factor_cl`.
        diagonal_kept: See `club_bound`.
        hidden_dim: Width of the critics.
        num_hidden: Hidden layers of the critics.
        activation: Of critics and heads.
        max_elements: Memory limit of a critic, see `PairCritic`.

    Raises:
        UsageError: A width or number below 1, or an unknown choice.
    """

    def __init__(
        self,
        dim_1: int,
        dim_2: int,
        *,
        label_dim: int | None = None,
        heads: Heads = "per_factor",
        conditional: Conditional = "chain_rule",
        sum_of: SumOf = "factors",
        diagonal_kept: bool = False,
        hidden_dim: int = 512,
        num_hidden: int = 2,
        activation: Activation = "relu",
        max_elements: int = 2**24,
    ) -> None:
        super().__init__()
        _one_of("heads", heads, ("none", "per_factor", "per_bound"))
        _one_of("conditional", conditional, ("chain_rule", "concatenated"))
        _one_of("sum_of", sum_of, ("factors", "bounds"))
        self.dims = (dim_1, dim_2)
        self.label_dim = label_dim
        self.heads_are = heads
        self.conditional = conditional
        self.sum_of: SumOf = sum_of
        self.diagonal_kept = diagonal_kept
        own = self.dims if label_dim is None else (label_dim, label_dim)
        condition = sum(self.dims) if label_dim is None else label_dim
        chained = conditional == "chain_rule"
        given = (dim_1, dim_2 + condition) if chained else (dim_1 + own[0], dim_2 + own[1])

        def critic(dims: tuple[int, int]) -> PairCritic:
            form = {"hidden_dim": hidden_dim, "num_hidden": num_hidden, "max_elements": max_elements}
            return PairCritic(*dims, activation=activation, **form)

        trained = {"nce_12": self.dims, "nce_1": (dim_1, own[0]), "nce_2": (dim_2, own[1]), "nce_12_given": given}
        frozen = {"club_12": self.dims, "club_12_given": given}
        if chained:  # what is subtracted is made small too
            frozen |= {"nce_condition": (dim_1, condition), "club_condition": (dim_1, condition)}
        self.critics = nn.ModuleDict({name: critic(dims) for name, dims in trained.items()})
        self.frozen_critics = nn.ModuleDict({name: critic(dims) for name, dims in frozen.items()})
        self.heads = nn.ModuleDict(
            {
                self._head(bound, stream): mlp(dim, dim, dim, 2, activation)
                for bound in (FactorBounds._fields if heads != "none" else ())
                for stream, dim in enumerate(self.dims, 1)
                if bound not in ("nce_1", "nce_2") or bound.endswith(str(stream))
            }
        )

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        x1_aug: Tensor | None = None,
        x2_aug: Tensor | None = None,
        *,
        labels: Tensor | None = None,
    ) -> Loss:
        """The objective; no gradient for the critics of `critic_parameters`.

        Args:
            x1: (B, D1), raw, B >= 2.
            x2: (B, D2), raw; row i is of the same video as row i of x1.
            x1_aug: (B, D1), of an augmentation of the same videos. Without labels only.
            x2_aug: (B, D2).
            labels: (B,) integers in [0, label_dim), made one-hot (others become a zero vector), or (B, label_dim).

        Returns:
            Loss: see `factor_cl`.

        Raises:
            UsageError: Wrong shapes, or not what this objective was made for.
        """
        inputs = self._inputs(x1, x2, x1_aug, x2_aug, labels)
        values = {name: info_nce_bound(critic(*inputs[name])) for name, critic in self.critics.items()}
        for name, critic in self.frozen_critics.items():
            scores = critic(*inputs[name], frozen=True)
            values[name] = (
                info_nce_bound(scores)
                if name == "nce_condition"
                else club_bound(scores, diagonal_kept=self.diagonal_kept)
            )
        if self.conditional == "chain_rule":
            # Information is never negative. Said so, because encoders would gain without limit by fooling what is
            # subtracted, whose critic is always a step late.
            values["nce_12_given"] = values["nce_12_given"] - values.pop("nce_condition").clamp_min(0)
            values["club_12_given"] = (values["club_12_given"] - values.pop("club_condition")).clamp_min(0)
        return factor_cl(FactorBounds(**values), sum_of=self.sum_of)

    def learning_loss(
        self,
        x1: Tensor,
        x2: Tensor,
        x1_aug: Tensor | None = None,
        x2_aug: Tensor | None = None,
        *,
        labels: Tensor | None = None,
    ) -> Loss:
        """The critic step: `-sum I_nce` over the frozen critics, on embeddings without gradient.

        Arguments and errors as `forward`. Terms: the InfoNCE bound of every frozen critic, in nats.
        """
        with torch.no_grad():
            inputs = self._inputs(x1, x2, x1_aug, x2_aug, labels)
        bounds = {}
        for name, critic in self.frozen_critics.items():
            x, y = inputs[name]  # without heads these are the embeddings themselves, gradient and all
            bounds[name] = info_nce_bound(critic(x.detach(), y.detach()))
        return Loss(-torch.stack(list(bounds.values())).sum(), {name: value.detach() for name, value in bounds.items()})

    def critic_parameters(self) -> list[nn.Parameter]:
        """What `learning_loss` trains: the critics that are frozen in the total."""
        return list(self.frozen_critics.parameters())

    def non_critic_parameters(self) -> list[nn.Parameter]:
        """What the total trains: heads and InfoNCE critics; the encoders belong to the same optimizer."""
        return [*self.heads.parameters(), *self.critics.parameters()]

    def _head(self, bound: str, stream: int) -> str:
        factor = "shared" if bound in _SHARED else "unique"
        return f"{factor if self.heads_are == 'per_factor' else bound}_{stream}"

    def _partners(
        self, x1: Tensor, x2: Tensor, x1_aug: Tensor | None, x2_aug: Tensor | None, labels: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """X1' and X2': the augmentations, or the labels twice."""
        wanted = tuple((len(x1), dim) for dim in self.dims)
        if (tuple(x1.shape), tuple(x2.shape)) != wanted:
            raise UsageError(
                f"expected x1 and x2 of shapes (B, {self.dims[0]}) and (B, {self.dims[1]}), got {tuple(x1.shape)} and "
                f"{tuple(x2.shape)}. Make FactorCL for the widths of its embeddings."
            )
        if self.label_dim is None:
            if x1_aug is None or x2_aug is None or labels is not None:
                raise UsageError(
                    "expected x1_aug and x2_aug and no labels: this objective is self-supervised. "
                    "Give label_dim to use labels."
                )
            if (tuple(x1_aug.shape), tuple(x2_aug.shape)) != wanted:
                raise UsageError(
                    f"expected augmentations in the shapes of their streams, {wanted[0]} and {wanted[1]}, got "
                    f"{tuple(x1_aug.shape)} and {tuple(x2_aug.shape)}."
                )
            return x1_aug, x2_aug
        if labels is None or x1_aug is not None or x2_aug is not None:
            raise UsageError(
                f"expected labels and no augmentations: this objective is supervised, label_dim={self.label_dim}. "
                f"Set label_dim to None to use augmentations."
            )
        if labels.ndim == 1 and not labels.is_floating_point():
            classes = torch.arange(self.label_dim, device=labels.device)
            labels = (labels[:, None] == classes).to(x1.dtype)  # one_hot would look at them, and wait
        if tuple(labels.shape) != (len(x1), self.label_dim):
            raise UsageError(
                f"expected labels of shape (B,) = ({len(x1)},), integer, or (B, label_dim) = "
                f"({len(x1)}, {self.label_dim}), got {tuple(labels.shape)}, {labels.dtype}."
            )
        return labels, labels

    def _through(self, head: str, stream: Tensor) -> Tensor:
        """A stream through a head, in float32 at least."""
        with full_precision(stream.device):
            return self.heads[head](stream.to(next(self.heads[head].parameters()).dtype))

    def _inputs(
        self, x1: Tensor, x2: Tensor, x1_aug: Tensor | None, x2_aug: Tensor | None, labels: Tensor | None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """For every critic, its x and y."""
        partners = self._partners(x1, x2, x1_aug, x2_aug, labels)

        def views(pair: tuple[Tensor, Tensor], bounds: tuple[str, ...], bare: bool) -> dict[str, Tensor]:
            """Through every head once, by its name."""
            names = {self._head(bound, stream): pair[stream - 1] for bound in bounds for stream in (1, 2)}
            return {name: x if bare or name not in self.heads else self._through(name, x) for name, x in names.items()}

        own = views((x1, x2), FactorBounds._fields, bare=False)
        other = views(partners, FactorBounds._fields[2:], bare=labels is not None)
        inputs = {name: (own[self._head(name, 1)], own[self._head(name, 2)]) for name in ("nce_12", "club_12")}
        for name, stream in (("nce_1", 1), ("nce_2", 2)):
            inputs[name] = own[self._head(name, stream)], other[self._head(name, stream)]
        for name, subtracted in (("nce_12_given", "nce_condition"), ("club_12_given", "club_condition")):
            heads = self._head(name, 1), self._head(name, 2)
            (one, two), (first, second) = (own[head] for head in heads), (other[head] for head in heads)
            if self.conditional == "concatenated":
                inputs[name] = torch.cat([one, first], dim=1), torch.cat([two, second], dim=1)
            else:
                condition = first if labels is not None else torch.cat([first, second], dim=1)
                inputs[name] = one, torch.cat([two, condition], dim=1)
                inputs[subtracted] = one, condition
        return inputs
