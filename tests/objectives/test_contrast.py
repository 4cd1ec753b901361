import pytest
import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives import LearnedTemperature, MVInfoNCE, SIGReg, mv_infonce
from videossl.objectives.contrast import scaled, unit


def points() -> Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_normalisation_is_the_one_of_torch_with_first_and_second_derivatives() -> None:
    z = points().requires_grad_()
    torch.testing.assert_close(unit(z), torch.nn.functional.normalize(z, dim=-1))
    torch.testing.assert_close(scaled(z, 0.25), 2 * torch.nn.functional.normalize(z, dim=-1))
    assert torch.autograd.gradcheck(lambda x: scaled(x, 0.1), (z,))
    assert torch.autograd.gradgradcheck(lambda x: scaled(x, 0.1), (z,))


def test_a_zero_vector_stays_zero_and_its_gradient_is_finite() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    scaled(z, 0.1).sum().backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_where_there_is_no_second_derivative_it_is_refused_and_not_left_out() -> None:
    z = torch.randn(2, 6, 5, requires_grad=True)

    def twice(step: torch.nn.Module) -> Tensor:
        (gradient,) = torch.autograd.grad(step(torch.tanh(z)).total, z, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), z)[0]

    for step in (SIGReg(8), MVInfoNCE()):
        with pytest.raises(RuntimeError):
            twice(step)


@pytest.mark.parametrize(
    ("temperature", "message"),
    [
        (torch.ones(6, 1), r"shape \(\) or \(D,\), got \(6, 1\)"),
        (torch.ones(7), "one temperature for each of 5 dimensions, got 7"),
        (LearnedTemperature(num_dimensions=7), "one temperature for each of 5 dimensions, got 7"),
        (None, "a temperature > 0, got None"),
        ("0.1", "a temperature > 0, got 0.1"),
    ],
)
def test_a_temperature_that_does_not_fit_is_refused(temperature: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mv_infonce(torch.ones(2, 6, 5), temperature=temperature)  # type: ignore[arg-type]


def test_anchors_and_targets_may_be_of_different_precision() -> None:
    z = torch.randn(2, 6, 5)
    assert mv_infonce(z.double(), temperature=0.1, predictions=z).dtype == torch.float64
