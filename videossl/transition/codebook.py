"""A discrete latent r: one of C codes says which of several futures it is."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.networks import mlp, reset_mlp, start_anew
from videossl.transition.precision import at_least_float32
from videossl.transition.stratified import stratified_choice


class Codes(NamedTuple):
    """A distribution over codes; r is one-hot.

    Attributes:
        logits: (..., C), any offset.
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        """The probabilities, (..., C)."""
        return torch.softmax(self.logits, dim=-1)

    @property
    def variance(self) -> Tensor:
        """Of each coordinate of r, (..., C)."""
        return self.mean * (1 - self.mean)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, one-hot (..., C); gradients pass straight through to the probabilities (arXiv:1308.3432)."""
        probabilities = self.mean
        waiting = torch.empty_like(probabilities).exponential_(generator=generator)
        # The smallest of exponential waiting times with these rates is c with probability c.
        drawn = F.one_hot((waiting.log() - torch.log_softmax(self.logits, dim=-1)).argmin(-1), self.logits.shape[-1])
        return drawn.to(probabilities) + probabilities - probabilities.detach()

    def stratified_sample(self, generator: torch.Generator | None = None) -> Tensor:
        """K draws, one-hot (K, C), from logits (K, C): a code of probability p is drawn K p times, give or take one."""
        probabilities = self.mean
        # Which codes are alike is not known. In an order of their own, those of one future could be every second one.
        order = torch.rand(probabilities.shape[-1], device=self.logits.device, generator=generator).argsort()
        drawn = F.one_hot(order[stratified_choice(probabilities[:, order], generator)], probabilities.shape[-1])
        return drawn.to(probabilities)

    def kl(self, other: "Codes") -> Tensor:
        """KL to another distribution over the same codes, in nats: (...)."""
        here, there = (torch.log_softmax(logits, dim=-1) for logits in (self.logits, other.logits))
        return (here.exp() * (here - there)).sum(-1)

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log probability of one-hot r (..., C), in nats: (...)."""
        return (at_least_float32(latent) * torch.log_softmax(self.logits, dim=-1)).sum(-1)


class CodePrior(nn.Sequential):
    """p(r | context): a probability for every code, from one MLP. The KL of it is exact.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        num_codes: C.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
    """

    def __init__(self, embedding_dim: int, num_codes: int, *, hidden_dim: int = 256, num_hidden: int = 2) -> None:
        # It is its own MLP, as `GaussianPrior` is.
        super().__init__(*mlp(embedding_dim, hidden_dim, num_codes, num_hidden=num_hidden))
        self.scale = math.sqrt(embedding_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with codes that are equally likely."""
        for parameter in self[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, context: Tensor) -> Codes:
        """Context (..., D) of unit norm -> distribution over codes."""
        outputs = self.scale * context
        for layer in self:
            outputs = layer(outputs)
        return Codes(at_least_float32(outputs))


class CodebookLatent(nn.Module):
    """Posterior and prior over C codes.

    As there are few, `AdaSSL` asks the editor what each code makes of a context, and so knows which of them tells of
    the future: the posterior that it trains with is exact, and the net here learns it for later use. Samples of a model
    with it are sharp: a code has one meaning in a context, there is no noise around it.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        num_codes: C, at least as many as there are ways on from one context; twice as many are found more surely.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.

    Raises:
        UsageError: Fewer than two codes.
    """

    def __init__(self, embedding_dim: int, *, num_codes: int = 16, hidden_dim: int = 256, num_hidden: int = 2) -> None:
        super().__init__()
        if num_codes < 2:
            raise UsageError(
                f"expected num_codes of at least 2, got {num_codes}. For no latent set model.latent to null."
            )
        self.latent_dim = num_codes
        self.scale = math.sqrt(embedding_dim)  # embeddings have unit norm, the nets want coordinates of about 1
        self.posterior_net = mlp(2 * embedding_dim, hidden_dim, num_codes, num_hidden=num_hidden)
        self.prior_net = CodePrior(embedding_dim, num_codes, hidden_dim=hidden_dim, num_hidden=num_hidden)
        self.every: Tensor
        self.register_buffer("every", torch.eye(num_codes), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with codes that are equally likely."""
        reset_mlp(self.posterior_net, zero_output=True)
        start_anew(self.prior_net)

    def codes(self) -> Tensor:
        """Every value of r: (C, C), one-hot."""
        return self.every

    def posterior(self, context: Tensor, future: Tensor) -> Codes:
        """q(r | context, future); both (..., D) of unit norm."""
        return Codes(at_least_float32(self.posterior_net(self.scale * torch.cat([context, future], dim=-1))))

    def prior(self, context: Tensor) -> Codes:
        """p(r | context); context (..., D) of unit norm."""
        distribution: Codes = self.prior_net(context)
        return distribution
