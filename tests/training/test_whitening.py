import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from videossl.models import GaussianLatent, GaussianPrior, MixturePrior, MLPEditor, SharedMixturePrior
from videossl.training.whitening import WhitenedLinear, unwhiten, whiten_inputs
from videossl.transition import AdditiveEditor, FlowPrior

D, R, N = 6, 2, 500


def embeddings(seed: int) -> torch.Tensor:
    """(N, D) float64 of unit norm that hardly vary in most directions."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.tensor([1.0, 1.0, 0.3, 0.1, 0.05, 0.0], dtype=torch.float64)
    return normalize(torch.randn(N, D, generator=generator, dtype=torch.float64) * scales + 0.2, dim=-1)


def outputs(part: nn.Module, contexts: torch.Tensor, futures: torch.Tensor) -> list[torch.Tensor]:
    r = torch.linspace(-1, 1, N * R, dtype=torch.float64).view(N, R)
    if isinstance(part, MLPEditor | AdditiveEditor):
        return [part(contexts, r)]
    if isinstance(part, GaussianLatent):
        return [*part.posterior(contexts, futures), part.prior(contexts).log_prob(r)]
    return [part(contexts).log_prob(r)]


@pytest.mark.parametrize("prior", [GaussianPrior, MixturePrior, SharedMixturePrior, FlowPrior])
@pytest.mark.parametrize("kind", ["editor", "latent", "prior"])
def test_whitened_and_made_plain_again_a_part_computes_what_it_did(kind, prior):
    torch.manual_seed(0)
    made = {"editor": MLPEditor, "latent": GaussianLatent, "prior": prior}[kind]
    part = (GaussianLatent(D, latent_dim=R, prior=prior) if kind == "latent" else made(D, R)).double().eval()
    for parameter in part.parameters():
        nn.init.normal_(parameter, std=0.3)
    contexts, futures = embeddings(0), embeddings(1)
    names = list(part.state_dict())
    before = [each.detach().clone() for each in outputs(part, contexts, futures)]
    whiten_inputs(part, contexts, futures)
    for expected, got in zip(before, outputs(part, contexts, futures), strict=True):
        torch.testing.assert_close(got, expected)
    unwhiten(part)
    assert list(part.state_dict()) == names
    assert not any(isinstance(module, WhitenedLinear) for module in part.modules())
    for expected, got in zip(before, outputs(part, contexts, futures), strict=True):
        torch.testing.assert_close(got, expected)


def test_the_first_layer_sees_inputs_of_variance_one_and_those_that_do_not_vary_stay_small():
    editor = MLPEditor(D, R).double()
    contexts = embeddings(0)
    contexts[:, -1] = 0.1
    whiten_inputs(editor, contexts, contexts)
    first = editor.net[0]
    assert isinstance(first, WhitenedLinear)
    r = torch.full((N, R), 3.0, dtype=torch.float64)
    seen = (torch.cat([editor.scale * contexts, r], dim=1) - first.mean) @ first.whitening
    torch.testing.assert_close(seen[:, D:], r)  # r is not touched
    covariance = torch.cov(seen[:, :D].T)
    variances = torch.linalg.eigvalsh(covariance)
    assert (variances[-4:] > 0.9).all()
    assert (variances < 1.0).all()
    assert variances[0] < 1e-6  # a coordinate never varies


def test_what_varies_little_is_learned_sooner():
    """Which of two ways on from a context: a coordinate says it that varies a hundredth as much as others."""
    torch.manual_seed(0)
    states = torch.randn(2000, 8) * torch.tensor([1.0] * 7 + [0.02])
    contexts = normalize(states, dim=-1)
    futures = normalize(contexts.roll(1, dims=1) + 0.5 * states[:, -1:].sign(), dim=-1)
    missed = {}
    for whitened in (False, True):
        torch.manual_seed(1)
        editor = MLPEditor(8, 0, hidden_dim=64)
        if whitened:
            whiten_inputs(editor, contexts, futures)
        optimizer = torch.optim.AdamW(editor.parameters(), lr=2e-3)
        for _ in range(100):
            loss = (normalize(editor(contexts, None), dim=-1) - futures).square().sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        missed[whitened] = loss.item()
    assert missed[True] < 0.7 * missed[False]


def test_parts_that_are_not_known_stay_as_they_are():
    other = MLPEditor(D, R)
    other.net[0] = nn.Sequential(nn.LayerNorm(D + R), nn.Linear(D + R, 256), nn.Sequential())
    part = nn.ModuleList([AdditiveEditor(D, R), FlowPrior(D, R), other])
    names = list(part.state_dict())
    for each in part:
        whiten_inputs(each, embeddings(0).float(), embeddings(1).float())
        unwhiten(each)
    assert list(part.state_dict()) == names
