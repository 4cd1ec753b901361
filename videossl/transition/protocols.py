"""What a latent and an editor must be able to do; the networks of this room can, other people's may be others."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class Gaussian(Protocol):
    """A diagonal Gaussian: mean and log_variance, (..., R) each. Between two of them the KL has a closed form."""

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def log_variance(self) -> Tensor:
        """(..., R)."""
        ...


class Distribution(Protocol):
    """A distribution of r: what can be drawn, and how likely each r is."""

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def variance(self) -> Tensor:
        """(..., R), of each coordinate."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, (..., R). A posterior's has gradients to its parameters, a prior's need not."""
        ...

    def log_prob(self, latent: Tensor, /) -> Tensor:
        """Log density (of codes: log probability) of r (..., R), summed over its coordinates: (...), in nats."""
        ...


@runtime_checkable
class Stratified(Protocol):
    """A distribution that can spread its draws."""

    def stratified_sample(self, generator: torch.Generator | None = None) -> Tensor:
        """K draws, (K, R), of K distributions of one context: each as by `sample`, all spread evenly together."""
        ...


class Prior(Protocol):
    """p(r | context) as a part that can be exchanged: made with the dimensions of embedding and latent."""

    def __call__(self, context: Tensor, /) -> Distribution:
        """Context (..., D) of unit norm -> distribution of r (..., R)."""
        ...


@runtime_checkable
class FittedByMatching(Protocol):
    """A prior that is fitted by a loss of its own where nothing but the prior is fitted, because it is cheaper."""

    def matching_loss(self, context: Tensor, latent: Tensor, generator: torch.Generator | None = None, /) -> Tensor:
        """Contexts (..., D) and r (..., R) drawn from the posterior -> loss (...)."""
        ...


@runtime_checkable
class Standardised(Protocol):
    """A prior that can be told where r lies and how wide it is, before it is fitted: its start is there then."""

    def standardise(self, latent: Tensor, /) -> None:
        """Draws of r, (n, R)."""
        ...


class Gated(Protocol):
    """Values behind gates: log-odds that each gate is open, and what comes through if it is, (..., R) each."""

    @property
    def logits(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def values(self) -> Tensor:
        """(..., R)."""
        ...


@runtime_checkable
class VariationalLatent(Protocol):
    """Posterior and prior of the latent r (AdaSSL-V): what r costs is the KL between them, in nats.

    Both Gaussian: the KL is exact. Otherwise both are a `Distribution`, and it is estimated at the r that is drawn.
    """

    def posterior(self, context: Tensor, future: Tensor) -> Gaussian | Distribution:
        """q(r | context, future); both (..., D)."""
        ...

    def prior(self, context: Tensor) -> Gaussian | Distribution:
        """p(r | context); context (..., D)."""
        ...


@runtime_checkable
class SparseLatent(Protocol):
    """A latent r most of whose coordinates are zero (AdaSSL-S): what r costs is the expected number of open gates.

    A prior is no part of it: `SparseGate` may have one, which learns beside it.
    """

    def gates(self, context: Tensor, future: Tensor) -> Gated:
        """r = gate * value, given context and future; both (..., D)."""
        ...


class Coded(Protocol):
    """A distribution over codes."""

    @property
    def logits(self) -> Tensor:
        """(..., C)."""
        ...


@runtime_checkable
class CodedLatent(Protocol):
    """A latent of so few values that all can be tried."""

    def codes(self) -> Tensor:
        """Every value of r: (C, R)."""
        ...

    def posterior(self, context: Tensor, future: Tensor) -> Coded:
        """q(r | context, future); both (..., D)."""
        ...

    def prior(self, context: Tensor) -> Coded:
        """p(r | context); context (..., D)."""
        ...


Latent = VariationalLatent | SparseLatent | CodedLatent


class Editor(Protocol):
    """t(e, r): moves a context embedding to the predicted future embedding."""

    def __call__(self, state: Tensor, latent: Tensor | None, /) -> Tensor:
        """state (..., D), latent (..., R) or None -> (..., D), any scale."""
        ...
