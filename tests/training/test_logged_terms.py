import torch

from videossl.training.pretraining import scalars


def test_terms_of_pairs_are_logged_one_by_one():
    values = scalars({"kl": torch.tensor(1.0), "kl_per_pair": torch.tensor([2.0, 3.0])})
    assert {name: value.item() for name, value in values.items()} == {
        "kl": 1.0,
        "kl_per_pair/0": 2.0,
        "kl_per_pair/1": 3.0,
    }
