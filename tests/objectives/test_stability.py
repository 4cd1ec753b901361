"""float32 and bf16 autocast against float64, where the published code overflows or loses its gradient."""

import published
import pytest
import torch
from low_precision import KINDS, batch, gradient, relative_error

from videossl.objectives.mv_dhel import MVDHEL
from videossl.objectives.mv_infonce import MVInfoNCE

SIZES = [(8, 128, 16), (3, 96, 512), (2, 1024, 32)]  # (V, B, D); the corners: scripts/bench/stability.py
OBJECTIVES = {
    "per pair": lambda tau: MVInfoNCE(tau),
    "joint": lambda tau: MVInfoNCE(tau, energy="joint", same_view_negatives=True),
    "printed": lambda tau: MVInfoNCE(tau, alignment="log_of_sum", energy="joint"),
    "per anchor": lambda tau: MVInfoNCE(tau, alignment="log_of_sum", energy="per_anchor"),
    "dhel": lambda tau: MVDHEL(tau),
    "dhel, mean": lambda tau: MVDHEL(tau, alignment="mean_of_logs"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [0.01, 0.05, 1.0])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_in_float32_and_under_autocast_are_those_of_float64(name: str, temperature: float, kind: str) -> None:
    step = OBJECTIVES[name](temperature)
    for size in SIZES if kind == "random" else SIZES[:2]:
        z = batch(kind, size)
        exact = gradient(step, z.double())
        assert relative_error(gradient(step, z), exact, z, temperature) < 1e-3, size
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert relative_error(gradient(step, z), exact, z, temperature) < 1e-3, size


def test_the_published_mv_infonce_has_no_gradient_at_temperature_0_011_and_ours_has() -> None:
    z = batch("random", (2, 16, 8)).requires_grad_()
    (theirs,) = torch.autograd.grad(published.mv_infonce(z, 0.011), z)
    assert theirs.isnan().any()
    ours = MVInfoNCE(0.011, alignment="log_of_sum", energy="joint", same_view_negatives=True)
    exact = gradient(ours, z.detach().double())
    assert relative_error(gradient(ours, z.detach()), exact, z.detach(), 0.011) < 1e-3
    (at_a_milder_one,) = torch.autograd.grad(published.mv_infonce(z, 0.1), z)  # and it is the same loss
    ours.temperature = 0.1
    assert relative_error(at_a_milder_one.double(), gradient(ours, z.detach().double()), z.detach(), 0.1) < 1e-4


def test_the_published_mv_dhel_loses_its_uniformity_in_silence_and_ours_does_not() -> None:
    z, temperature = batch("random", (8, 1024, 64)), 0.2
    leaf = z.clone().requires_grad_()
    loss = published.mv_dhel(leaf, temperature)
    (theirs,) = torch.autograd.grad(loss, leaf)
    step = MVDHEL(temperature, "forward")
    exact = gradient(step, z.double())
    assert loss.isfinite()
    torch.testing.assert_close(loss.double(), step(z.double()).total, rtol=1e-5, atol=0)  # nothing shows in the value
    assert relative_error(theirs.double(), exact, z, temperature) > 0.1
    assert relative_error(gradient(step, z), exact, z, temperature) < 1e-3
