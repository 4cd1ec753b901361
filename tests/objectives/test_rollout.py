"""Rollouts: the transition is applied to its own predictions, and trained by where that leads."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from videossl.errors import UsageError
from videossl.objectives import (
    AdaSSL,
    Distillation,
    FixedBeta,
    GaussianLatent,
    InformationBudget,
    MLPEditor,
    MVInfoNCE,
    SparseGate,
    ViewGraph,
)
from videossl.objectives.rollout import roll_out, single_steps
from videossl.transition import CodebookLatent

B, D, R = 7, 6, 3


def views(num: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(num, B, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def editor(latent_dim: int = R) -> nn.Module:
    torch.manual_seed(0)
    made = MLPEditor(D, latent_dim, hidden_dim=8).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def adassl(latent: nn.Module | None = None, **options: object) -> AdaSSL:
    torch.manual_seed(0)
    made = GaussianLatent(D, latent_dim=R, hidden_dim=8) if latent is None else latent
    step = AdaSSL(MVInfoNCE(0.2, "forward"), made, editor(made.latent_dim), FixedBeta(0.1), **options)  # type: ignore[arg-type]
    return step.double()


def test_the_steps_of_a_graph_are_those_between_its_views() -> None:
    assert single_steps(ViewGraph.forward(4)).pairs == ((0, 1), (1, 2), (2, 3))
    assert single_steps(ViewGraph(((0, 2),), 4)).pairs == ((0, 1), (1, 2))
    assert single_steps(ViewGraph(((0, 1), (2, 3)), 4)).pairs == ((0, 1), (2, 3))


def test_a_pair_back_in_time_cannot_be_rolled_out() -> None:
    with pytest.raises(UsageError, match=r"forward in time, got the pair \(1, 0\)"):
        single_steps(ViewGraph.all_pairs(2))
    with pytest.raises(UsageError, match="forward in time"):
        AdaSSL(MVInfoNCE(), None, editor(0), rollout=True)(views())


@pytest.mark.parametrize("normalise", [True, False])
def test_it_is_the_editor_applied_to_its_own_predictions(normalise: bool) -> None:
    edit, u, r = editor(), views(4), torch.randn(3, B, R, dtype=torch.float64)
    between = (lambda x: normalize(x, dim=-1)) if normalise else (lambda x: x)
    predicted = roll_out(edit, u, r, ViewGraph.forward(4), normalise=normalise)
    by_hand = {}
    for left in range(4):
        state = u[left]
        for right in range(left + 1, 4):
            by_hand[left, right] = edit(state, r[right - 1])
            state = between(by_hand[left, right])
    for row, pair in enumerate(ViewGraph.forward(4).pairs):
        torch.testing.assert_close(predicted[row], by_hand[pair])


@pytest.mark.parametrize("latent", ["gaussian", "sparse", "codes"])
def test_with_two_views_a_rollout_changes_nothing(latent: str) -> None:
    def made() -> nn.Module:
        torch.manual_seed(1)
        if latent == "codes":
            return CodebookLatent(D, num_codes=R, hidden_dim=8)
        return (GaussianLatent if latent == "gaussian" else SparseGate)(D, latent_dim=R, hidden_dim=8)

    losses = [
        adassl(made(), rollout=rollout)(views(2), generator=torch.Generator().manual_seed(3)).total
        for rollout in (False, True)
    ]
    assert torch.equal(*losses)


def test_r_is_inferred_and_paid_for_step_by_step() -> None:
    step, u = adassl(rollout=True), views(4)
    loss = step(u, noise=torch.zeros(3, B, R, dtype=torch.float64))
    assert loss.terms["kl_nats_per_pair"].shape == loss.terms["beta_per_pair"].shape == (3,)
    unit = normalize(u, dim=-1)
    latent = step.latent
    assert isinstance(latent, GaussianLatent)
    r = latent.posterior(unit[:-1], unit[1:]).mean
    predicted = roll_out(step.editor, unit, r, ViewGraph.forward(4))
    torch.testing.assert_close(loss.terms["objective"], step.objective(u, predicted).total.detach())


def test_the_budget_is_held_for_every_step() -> None:
    torch.manual_seed(0)
    latent = GaussianLatent(D, latent_dim=R, hidden_dim=8)
    step = AdaSSL(MVInfoNCE(0.2, "forward"), latent, MLPEditor(D, R), InformationBudget(1.0), rollout=True)
    step(views(4).float())
    assert isinstance(step.beta, InformationBudget)
    assert step.beta.log_beta.shape == (3,)


def test_gradients_go_back_through_the_whole_chain_to_the_first_r() -> None:
    edit, u = editor(), views(3)
    r = torch.randn(2, B, R, dtype=torch.float64, requires_grad=True)
    predicted = roll_out(edit, u, r, ViewGraph(((0, 2),), 3))
    predicted.square().sum().backward()
    assert r.grad is not None
    assert (r.grad.abs().sum((1, 2)) > 0).all()


def test_the_gradient_is_that_of_finite_differences() -> None:
    edit = editor()
    for parameter in edit.parameters():
        parameter.requires_grad_(requires_grad=False)

    def rolled(u: Tensor, r: Tensor) -> Tensor:
        return roll_out(edit, normalize(u, dim=-1), r, ViewGraph.forward(3))

    inputs = (views(3)[:, :2].requires_grad_(), torch.randn(2, 2, R, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(rolled, inputs)


def test_a_deterministic_editor_is_rolled_out_too() -> None:
    edit, u = editor(0), views(3)
    loss = AdaSSL(MVInfoNCE(0.2, "forward"), None, edit, rollout=True)(u)
    predicted = roll_out(edit, normalize(u, dim=-1), None, ViewGraph.forward(3))
    torch.testing.assert_close(loss.total, MVInfoNCE(0.2, "forward")(u, predicted).total)


def test_what_the_teacher_says_is_what_every_step_is_inferred_from() -> None:
    torch.manual_seed(0)
    objective = Distillation(D, hidden_dim=8, graph="forward")
    step = AdaSSL(objective, GaussianLatent(D, latent_dim=R, hidden_dim=8), MLPEditor(D, R), 0.1, rollout=True)
    loss = step(views(3).float(), targets=views(3, seed=1).float())
    assert loss.total.isfinite()
    assert loss.terms["kl_nats_per_pair"].shape == (2,)


def test_codes_are_tried_step_by_step_and_the_chain_is_of_the_codes_that_were_drawn() -> None:
    torch.manual_seed(0)
    objective = MVInfoNCE(0.2, "forward")
    step = AdaSSL(objective, CodebookLatent(D, num_codes=4, hidden_dim=8), editor(4), 0.5, rollout=True).double()
    u = views(4).requires_grad_()
    loss = step(u, generator=torch.Generator().manual_seed(0))
    loss.total.backward()
    assert u.grad is not None
    assert u.grad.isfinite().all()
    assert loss.terms["kl_nats_per_pair"].shape == (3,)
    assert objective.graph == "forward"


def test_missing_views_cannot_be_walked_through() -> None:
    with pytest.raises(UsageError, match="walks through all views"):
        adassl(rollout=True)(views(3), present=torch.ones(3, B, dtype=torch.bool))


def test_a_rollout_learns_a_rotation_of_which_single_steps_are_small() -> None:
    """States turn by an angle that r tells; trained on rollouts, three steps in a row land where they should."""
    torch.manual_seed(0)
    latent, edit = GaussianLatent(4, latent_dim=2, hidden_dim=16), MLPEditor(4, 2, hidden_dim=32)
    step = AdaSSL(MVInfoNCE(0.1, "forward"), latent, edit, FixedBeta(0.001), rollout=True)
    optimizer = torch.optim.Adam(step.parameters(), 5e-3)
    losses = []
    for _ in range(120):
        angles = torch.cat([torch.rand(1, 64) * 6.3, 0.4 * (torch.randint(0, 2, (3, 64)) * 2.0 - 1)]).cumsum(0)
        u = torch.stack([angles.cos(), angles.sin(), (2 * angles).cos(), (2 * angles).sin()], dim=-1)  # (V, B, 4)
        loss = step(u)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.terms["objective"]))
    assert losses[-1] < losses[0] - 0.5
