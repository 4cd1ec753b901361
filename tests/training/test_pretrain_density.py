from types import SimpleNamespace

import torch

from videossl.loading import load
from videossl.models.world_model import UNFITTED_CONCENTRATION
from videossl.training import density
from videossl.training.embedded_pairs import Pairs


def test_the_width_of_the_density_is_fitted_when_training_ends(small_run):
    model = load(small_run)
    assert model.concentration != UNFITTED_CONCENTRATION
    assert model.clip_frames == 4


def test_the_width_of_the_density_is_fitted_to_one_pair_of_each_video(monkeypatch):
    contexts = torch.arange(8.0).view(4, 2)
    pairs = Pairs(contexts, contexts + 100, torch.tensor([5, 3, 5, 3]))
    monkeypatch.setattr(density, "embedded_pairs", lambda *_: pairs)
    seen = []
    model = SimpleNamespace(latent=None, fit_concentration=lambda *given: seen.extend(given))
    density.fit_concentration(model, None, [])
    assert torch.equal(seen[0], contexts[[1, 0]])
    assert torch.equal(seen[1], contexts[[1, 0]] + 100)
