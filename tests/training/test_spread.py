import pytest
import torch

from videossl.training.pretraining import scalars, spread


def test_evenly_spread_embeddings_have_deviation_one_and_full_rank():
    values = spread(torch.randn(2, 4096, 16, generator=torch.Generator().manual_seed(0)))
    assert values["train/embedding_std"].item() == pytest.approx(1, abs=0.02)
    assert values["train/effective_rank"].item() == pytest.approx(16, abs=0.1)


def test_collapsed_embeddings_have_deviation_zero():
    values = spread(torch.ones(2, 64, 16) + 1e-6 * torch.randn(2, 64, 16))
    assert values["train/embedding_std"].item() < 1e-4


def test_embeddings_on_a_line_have_rank_one():
    line = torch.randn(64, 1) * torch.randn(16) * 0.01 + torch.ones(16)
    assert spread(line[None])["train/effective_rank"].item() < 1.5


def test_terms_of_pairs_are_logged_one_by_one():
    values = scalars({"kl": torch.tensor(1.0), "kl_per_pair": torch.tensor([2.0, 3.0])})
    assert {name: value.item() for name, value in values.items()} == {
        "kl": 1.0,
        "kl_per_pair/0": 2.0,
        "kl_per_pair/1": 3.0,
    }
