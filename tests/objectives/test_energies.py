"""The tiles against the whole matrix."""

import itertools

import pytest
import torch
from no_waiting import NothingWaits
from torch import Tensor

import videossl.objectives.energies as energies_module
from videossl.objectives import MVDHEL, MultiViewObjective, MVInfoNCE
from videossl.objectives.energies import Logits, log_energies, logits_of_pairs

PAIRS = [(0, 1), (1, 0), (0, 0), (2, 1), (2, 2), (1, 2)]


def points(num: int, num_videos: int = 13, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, num_videos, 5, generator=generator, dtype=torch.float64).requires_grad_()


def whole(
    anchors: Tensor, candidates: Tensor, limit: float | None = None, present: tuple[Tensor, Tensor] | None = None
) -> Logits:
    logits = torch.stack([anchors[a] @ candidates[c].T for a, c in PAIRS])
    if limit is not None:
        logits = logits.clamp(-limit, limit)
    hidden = torch.eye(logits.shape[-1], dtype=torch.bool).expand_as(logits)
    if present is not None:
        hidden = hidden | torch.stack([~present[0][a][:, None] | ~present[1][c] for a, c in PAIRS])
    # A row without any negative: log 0, of which plain autograd makes NaN.
    empty = hidden.all(-1)
    sums = logits.masked_fill(hidden & ~empty[..., None], -torch.inf).logsumexp(-1)
    return Logits(logits.diagonal(dim1=1, dim2=2), sums.masked_fill(empty, -torch.inf))


@pytest.mark.parametrize("side", [4, 5, 13, 64])
@pytest.mark.parametrize(
    ("shared", "bound", "limit", "holes"),
    list(itertools.product([True, False], [None, 50.0], [None, 1.5], [False, True])),
)
def test_tiles_give_the_values_and_gradients_of_the_whole_matrix(
    monkeypatch: pytest.MonkeyPatch, side: int, shared: bool, bound: float | None, limit: float | None, holes: bool
) -> None:
    monkeypatch.setattr(energies_module, "TILE_ON_CPU", side)
    anchors = points(3)
    candidates = anchors if shared else points(4, seed=1)
    present = None
    if holes:
        there = torch.rand(4, 13, generator=torch.Generator().manual_seed(2)) > 0.3
        there[1] = False
        there[1, 3] = True  # the only one of its view: it has no negative
        present = there[:3], there[: len(candidates)]
    ours = logits_of_pairs(anchors, candidates, PAIRS, bound=bound, logit_limit=limit, present=present)
    reference = whole(anchors, candidates, limit, present)
    weights = torch.randn(2, *ours.energies.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    inputs = [anchors] if shared else [anchors, candidates]

    def gradients(logits: Logits) -> tuple[Tensor, ...]:
        finite = logits.energies.masked_fill(logits.energies == -torch.inf, 0.0)
        return torch.autograd.grad((weights[0] * logits.aligned + weights[1] * finite).sum(), inputs)

    for value, wanted in zip(ours, reference, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-12)
    for value, wanted in zip(gradients(ours), gradients(reference), strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-11, atol=1e-12)


def test_one_exponential_and_two_agree_up_to_the_bound_at_which_they_are_exchanged() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(2, 40, 6, generator=generator), dim=-1) * 59.0**0.5
    for sign in (1.0, -1.0):  # all logits near the bound, or far below it
        one, two = z.clone().requires_grad_(), z.clone().requires_grad_()
        for values, bound in ((one, 59.0), (two, None)):
            log_energies(values, sign * values, [(0, 1), (1, 0)], bound=bound).mean().backward()
        assert one.grad is not None
        assert one.grad.isfinite().all()
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bound", [10.0, None])
def test_no_tensor_is_as_large_as_the_matrix_of_similarities(
    monkeypatch: pytest.MonkeyPatch, bound: float | None
) -> None:
    monkeypatch.setattr(energies_module, "TILE_ON_CPU", 64)
    num_videos = 512
    z = (points(2, num_videos) * 0.1).detach().requires_grad_()
    with torch.profiler.profile(profile_memory=True) as profile:
        log_energies(z, z, [(0, 1), (1, 0), (0, 0)], bound=bound).sum().backward()
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < largest < num_videos**2 * z.element_size() / 10


@pytest.mark.parametrize("objective", [MVInfoNCE(0.1, same_view_negatives=True), MVDHEL(0.1)])
def test_a_compiled_objective_is_one_graph_with_the_same_gradient(objective: MultiViewObjective) -> None:
    z, predictions = points(3), points(6, seed=1)

    def total(z: Tensor, predictions: Tensor) -> Tensor:
        return objective(z, predictions).total

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")(z, predictions)
    gradients = torch.autograd.grad(compiled, [z, predictions])
    torch.testing.assert_close(compiled, total(z, predictions))
    torch.testing.assert_close(gradients, torch.autograd.grad(total(z, predictions), [z, predictions]))


@pytest.mark.parametrize("shared", [True, False])
def test_the_operator_keeps_the_promises_that_compilation_relies_on(shared: bool) -> None:
    z, others = points(2, 6), None if shared else points(2, 6, seed=1)
    arguments = (z, others, [0, 1, 1, 0, 0, 0], True, None, None, None)
    torch.library.opcheck(energies_module._contrast, arguments)


@pytest.mark.parametrize("single", [True, False])
def test_no_tile_makes_the_host_wait_for_the_device(single: bool) -> None:
    z = points(2).detach()
    settings = ([0, 1, 1, 0, 0, 0], single, 1.5, torch.ones(2, 13).bool(), torch.ones(2, 13).bool())
    with NothingWaits():  # what the two operators do inside
        aligned, energies = energies_module._contrast._init_fn(z, None, *settings)
        energies_module._contrast_backward._init_fn(aligned, energies, aligned, energies, z, None, *settings)
