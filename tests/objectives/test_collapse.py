import pytest
import torch

from videossl.objectives.collapse import effective_rank, embedding_std


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_evenly_spread_embeddings_have_deviation_one_and_full_rank():
    points = noise(4096, 16)
    assert embedding_std(points).item() == pytest.approx(1, abs=0.02)
    assert effective_rank(points).item() == pytest.approx(16, abs=0.1)


def test_collapsed_embeddings_have_deviation_zero():
    assert embedding_std(torch.ones(64, 16) + 1e-6 * noise(64, 16)).item() < 1e-4
    assert embedding_std(torch.ones(100, 16)).item() == pytest.approx(0, abs=1e-6)


def test_embeddings_on_a_line_have_rank_one():
    line = noise(64, 1) * noise(16) * 0.01 + torch.ones(16)
    assert effective_rank(line).item() < 1.5


def test_effective_rank_counts_the_directions_in_use():
    plane = torch.cat([noise(20_000, 3), torch.zeros(20_000, 13)], dim=1)
    assert effective_rank(plane).item() == pytest.approx(3, abs=0.01)
    assert effective_rank(torch.ones(100, 16)).item() == pytest.approx(1, abs=0.01)
