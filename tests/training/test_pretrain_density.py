from videossl.loading import load
from videossl.models.world_model import UNFITTED_CONCENTRATION


def test_the_width_of_the_density_is_fitted_when_training_ends(small_run):
    model = load(small_run)
    assert model.concentration != UNFITTED_CONCENTRATION
    assert model.clip_frames == 4
