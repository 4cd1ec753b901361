import importlib
import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.sigreg import SIGReg, sigreg

module = importlib.import_module("videossl.objectives.sigreg")  # the name in the package is the function

seeds = st.integers(0, 2**31)
quick = settings(max_examples=15, deadline=None)
NULL = math.sqrt(2 * math.pi) - math.sqrt(2 * math.pi / 3)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def directions(num_directions: int, dim: int, seed: int = 7) -> Tensor:
    return torch.nn.functional.normalize(draw(num_directions, dim, seed=seed), dim=-1)


def plain(z: Tensor, along: Tensor, limit: float, num_knots: int) -> Tensor:
    """The definition, with complex numbers, all knots and autograd."""
    t = torch.linspace(-limit, limit, num_knots, dtype=z.dtype)
    empirical = torch.exp(1j * (z @ along.T)[..., None] * t).mean(1)  # (V, K, T)
    gauss = torch.exp(-(t**2) / 2)
    return (z.shape[1] * torch.trapezoid((empirical - gauss).abs().square() * gauss, t, dim=-1)).mean()


@pytest.mark.parametrize(("limit", "num_knots"), [(5.0, 17), (3.0, 33), (2.0, 3)])
@pytest.mark.parametrize("tile", [1, 100, 2**17])
def test_value_and_gradient_are_those_of_the_definition(
    limit: float, num_knots: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TILE_ON_CPU", tile)
    z, along = draw(3, 8, 4, seed=0).requires_grad_(), directions(10, 4)
    again = z.detach().clone().requires_grad_()
    value = sigreg(z, directions=along, limit=limit, num_knots=num_knots)
    (2 * value).backward()
    expected = plain(again, along, limit, num_knots)
    (2 * expected).backward()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(z.grad, again.grad, rtol=1e-10, atol=1e-12)


def test_the_authors_rule_is_half_the_line_doubled() -> None:
    z, along = draw(1, 20, 3, seed=0), directions(6, 3)
    t = torch.linspace(0, 3, 17, dtype=z.dtype)
    gauss = torch.exp(-(t**2) / 2)
    angles = (z @ along.T)[0, :, :, None] * t
    error = (angles.cos().mean(0) - gauss).square() + angles.sin().mean(0).square()
    expected = 20 * 2 * torch.trapezoid(error * gauss, t, dim=-1).mean()
    torch.testing.assert_close(sigreg(z, directions=along, limit=3, num_knots=33), expected)


@pytest.mark.parametrize("num_videos", [8, 256])
def test_standard_normal_samples_have_the_documented_expectation_whatever_the_batch(num_videos: int) -> None:
    z = draw(400, num_videos, 6, seed=0)
    value = sigreg(z, directions=directions(16, 6))
    assert value.item() == pytest.approx(NULL, rel=0.08)


def test_collapse_and_huge_scale_have_the_documented_values() -> None:
    at_origin = math.sqrt(2 * math.pi) - 2 * math.sqrt(math.pi) + math.sqrt(2 * math.pi / 3)
    assert sigreg(torch.zeros(2, 50, 4)).item() == pytest.approx(50 * at_origin, rel=1e-4)
    huge = sigreg(1e4 * draw(1, 20000, 3, seed=0), num_directions=8)
    assert huge.item() == pytest.approx(20000 * 0.822, rel=0.01)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda z: 0.3 * z,
        lambda z: 3 * z,
        lambda z: z + 1,
        lambda z: 3**0.5 * (2 * torch.special.ndtr(z) - 1),  # uniform with the right variance
        lambda z: torch.cat([z[..., :1], z[..., :1].expand(-1, -1, 1)], -1),  # two dimensions the same
        lambda z: z.sign(),
        lambda z: z * 0 + 2,
    ],
    ids=["small", "large", "shifted", "uniform", "correlated", "signs", "collapsed"],
)
def test_what_is_not_standard_normal_is_far_above_the_null(spoilt: object) -> None:
    z = draw(1, 4096, 2, seed=0)
    along = directions(64, 2)
    assert sigreg(z, directions=along) < 3 * NULL
    assert sigreg(spoilt(z), directions=along) > 10 * NULL


def test_descent_makes_a_nearly_collapsed_batch_standard_normal() -> None:
    z = (0.5 + 0.02 * draw(1, 256, 4, seed=0)).float().requires_grad_()
    optimizer = torch.optim.Adam([z], 0.05)
    regulariser = SIGReg(64)
    for _ in range(150):
        optimizer.zero_grad()
        regulariser(z).total.backward()
        optimizer.step()
    assert z.mean(1).abs().max() < 0.2
    torch.testing.assert_close(torch.cov(z.detach()[0].T), torch.eye(4), atol=0.25, rtol=0)
    assert regulariser.eval()(z).total < NULL


def test_training_calls_draw_new_directions_the_same_in_every_process_and_after_a_restart() -> None:
    z = draw(2, 32, 6, seed=0)
    first, twin = SIGReg(4), SIGReg(4)
    torch.manual_seed(1)
    values = [first(z).total for _ in range(3)]
    torch.manual_seed(2)
    assert [twin(z).total for _ in range(2)] == values[:2]
    assert len({value.item() for value in values}) == 3
    saved = io.BytesIO()
    torch.save(twin.state_dict(), saved)
    resumed = SIGReg(4)
    resumed.load_state_dict(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
    assert resumed(z).total == values[2]
    assert SIGReg(4, seed=99)(z).total != values[0]


def test_in_eval_mode_the_directions_stay() -> None:
    regulariser, z = SIGReg(4).eval(), draw(2, 32, 6, seed=0)
    assert regulariser(z).total == regulariser(z).total
    assert regulariser.step == 0


def test_the_state_of_torchs_own_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    SIGReg(4)(draw(2, 8, 3, seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_decides_the_directions() -> None:
    z = draw(2, 32, 6, seed=0)
    one, two = (sigreg(z, num_directions=4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert one == two


@quick
@given(seed=seeds)
def test_the_order_of_videos_and_views_does_not_matter(seed: int) -> None:
    z, generator = draw(3, 12, 4, seed=seed), torch.Generator().manual_seed(seed)
    moved = z[torch.randperm(3, generator=generator)][:, torch.randperm(12, generator=generator)]
    along = directions(8, 4)
    torch.testing.assert_close(sigreg(moved, directions=along), sigreg(z, directions=along))


def test_memory_does_not_grow_with_directions_or_knots() -> None:
    z, kept = draw(2, 64, 8, seed=0).requires_grad_(), []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = sigreg(z, num_directions=500, num_knots=33)
    value.backward()
    assert sum(kept) == z.numel()


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(kind: str, autocast: bool) -> None:
    z = draw(4, 32, 16, seed=3)
    z = {"random": z, "collapsed": 1 + 1e-3 * z, "near-duplicate views": z[:1] + 1e-4 * z}[kind]
    single = z.float().requires_grad_()
    double = single.detach().double().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = SIGReg(32)(single).total
    loss.backward()
    exact = SIGReg(32)(double).total
    exact.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)
    assert (single.grad - double.grad).abs().max() / double.grad.abs().max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_value_and_gradient_are_finite_in_low_precision(dtype: torch.dtype) -> None:
    for z in (100 * draw(3, 8, 16, seed=0), torch.ones(3, 8, 16), torch.zeros(3, 8, 16)):
        low = z.to(dtype).requires_grad_()
        loss = SIGReg(16)(low)
        loss.total.backward()
        assert loss.total.dtype == torch.float32
        assert loss.total.isfinite()
        assert low.grad.isfinite().all()
        assert not loss.terms["sigreg"].requires_grad


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 8), {}, r"shape \(V, B, D\), got \(4, 8\)"),
        ((2, 4, 8), {"directions": torch.ones(3, 7)}, r"D = 8, got \(3, 7\)"),
        ((2, 4, 8), {"num_directions": 0}, "num_directions >= 1"),
        ((2, 4, 8), {"num_knots": 16}, "odd num_knots >= 3"),
        ((2, 4, 8), {"limit": 0.0}, "limit > 0"),
    ],
)
def test_wrong_use_says_what_is_wanted(shape: tuple[int, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sigreg(torch.ones(shape), **options)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="seed >= 0"):
        SIGReg(seed=-1)
