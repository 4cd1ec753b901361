"""The divergence of a net, written out, is that of autograd, and so are the gradients that go through it."""

import pytest
import torch
from torch import Tensor

from videossl.transition.divergence import Divergence
from videossl.transition.networks import mlp

R, H = 3, 7


def moved(num_hidden: int) -> list[torch.nn.Module]:
    """A net of [x, something] whose norms have scales and shifts."""
    torch.manual_seed(num_hidden)
    net = mlp(R + 2, H, R, num_hidden=num_hidden).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return list(net)


@pytest.mark.parametrize("num_hidden", [1, 2, 3])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_value_and_trace_of_the_jacobian(num_hidden, shape):
    first, *rest = moved(num_hidden)
    x, other = torch.randn(*shape, R).double(), torch.randn(*shape, 2).double()
    given = other @ first.weight[:, R:].T + first.bias
    value, divergence = Divergence(first.weight[:, :R], rest)(x, given)

    def net(place: Tensor) -> Tensor:
        return torch.nn.Sequential(first, *rest)(torch.cat([place, other], dim=-1))

    torch.testing.assert_close(value, net(x))
    jacobian = torch.autograd.functional.jacobian(lambda place: net(place).reshape(-1, R).sum(0), x)
    torch.testing.assert_close(divergence, jacobian.diagonal(dim1=0, dim2=-1).sum(-1))


@pytest.mark.parametrize("num_hidden", [1, 2, 3])
def test_gradients_go_through_the_norms(num_hidden):
    first, *rest = moved(num_hidden)
    at = [torch.randn(4, R), torch.randn(4, H), first.weight[:, :R].detach()]
    at = [tensor.double().clone().requires_grad_() for tensor in at]
    assert torch.autograd.gradcheck(lambda x, given, enter: Divergence(enter, rest)(x, given), at)
