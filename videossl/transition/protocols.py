"""What a latent and an editor must be able to do; the networks of this room can, other people's may be others."""

from typing import Protocol, runtime_checkable

from torch import Tensor


class Gaussian(Protocol):
    """A diagonal Gaussian: mean and log_variance, (..., R) each."""

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def log_variance(self) -> Tensor:
        """(..., R)."""
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
    """Posterior and prior of the latent r (AdaSSL-V): what r costs is the KL between them, in nats."""

    def posterior(self, context: Tensor, future: Tensor) -> Gaussian:
        """q(r | context, future); both (..., D)."""
        ...

    def prior(self, context: Tensor) -> Gaussian:
        """p(r | context); context (..., D)."""
        ...


@runtime_checkable
class SparseLatent(Protocol):
    """A latent r most of whose coordinates are zero (AdaSSL-S): what r costs is the expected number of open gates.

    It has no prior: without the future there is no r.
    """

    def gates(self, context: Tensor, future: Tensor) -> Gated:
        """r = gate * value, given context and future; both (..., D)."""
        ...


Latent = VariationalLatent | SparseLatent


class Editor(Protocol):
    """t(e, r): moves a context embedding to the predicted future embedding."""

    def __call__(self, state: Tensor, latent: Tensor | None, /) -> Tensor:
        """state (..., D), latent (..., R) or None -> (..., D), any scale."""
        ...
