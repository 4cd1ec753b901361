import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.clip_style import ClipStyle, clip_style
from videossl.objectives.mv_dhel import MVDHEL
from videossl.objectives.mv_infonce import MVInfoNCE

OBJECTIVES = {
    "mv_infonce": MVInfoNCE(0.2),
    "mv_infonce, joint": MVInfoNCE(0.2, energy="joint"),
    "mv_infonce, printed": MVInfoNCE(0.2, alignment="log_of_sum", energy="joint", same_view_negatives=True),
    "mv_infonce, per anchor": MVInfoNCE(0.2, energy="per_anchor", same_view_negatives=True),
    "mv_dhel": MVDHEL(0.2),
    "mv_dhel, mean": MVDHEL(0.2, alignment="mean_of_logs", self_in_energy=True),
    "mv_dhel, per anchor": MVDHEL(0.2, alignment="log_of_sum_per_anchor"),
}
objectives = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())


def modalities(num_things: int = 9, num: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    names = ["video", "sound", "text", "touch"][:num]
    return {name: torch.randn(num_things, 5, generator=generator, dtype=torch.float64) for name in names}


def test_two_modalities_that_are_all_there_are_the_loss_of_clip() -> None:
    given = modalities(num=2)
    logits = F.normalize(given["video"], dim=-1) @ F.normalize(given["sound"], dim=-1).T / 0.2
    labels = torch.arange(9)
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(ClipStyle(MVInfoNCE(0.2))(given).total, expected, rtol=1e-12, atol=0)


@objectives
def test_saying_that_all_are_there_changes_nothing(objective: MVInfoNCE | MVDHEL) -> None:
    given = modalities()
    everything = {name: torch.ones(9, dtype=torch.bool) for name in given}
    said, unsaid = clip_style(given, present=everything, objective=objective), clip_style(given, objective=objective)
    torch.testing.assert_close(said.total, unsaid.total, rtol=1e-12, atol=0)
    for name, value in unsaid.terms.items():
        torch.testing.assert_close(said.terms[name], value, rtol=1e-9, atol=1e-12)


@objectives
def test_a_thing_of_which_everything_is_missing_is_as_if_it_were_not_there(objective: MVInfoNCE | MVDHEL) -> None:
    given, there = modalities(), torch.ones(3, 9, dtype=torch.bool)
    there[:, 4] = False
    kept = [index for index in range(9) if index != 4]
    with_hole = clip_style(given, present=there, objective=objective).total
    without = clip_style({name: e[kept] for name, e in given.items()}, objective=objective).total
    torch.testing.assert_close(with_hole, without, rtol=1e-12, atol=0)


@objectives
def test_what_is_missing_has_no_say_and_no_gradient(objective: MVInfoNCE | MVDHEL) -> None:
    z = torch.stack(list(modalities().values())).requires_grad_()
    there = torch.rand(3, 9, generator=torch.Generator().manual_seed(1)) > 0.4
    there[:, 0], there[:, 1] = False, torch.tensor([True, False, False])  # one has nothing, one has no pair
    loss = clip_style(z, present=there, objective=objective).total
    loss.backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert z.grad[~there].abs().max() == 0
    assert z.grad[there].abs().max() > 0
    elsewhere = torch.where(there[..., None], z.detach(), 100.0)
    torch.testing.assert_close(clip_style(elsewhere, present=there, objective=objective).total, loss.detach())


@pytest.mark.parametrize("same_view", [False, True])
def test_with_modalities_missing_the_value_is_the_mean_over_the_pairs_that_are_there(same_view: bool) -> None:
    u = F.normalize(torch.stack(list(modalities().values())), dim=-1)
    there = torch.rand(3, 9, generator=torch.Generator().manual_seed(2)) > 0.3
    losses = []
    for left, right in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]:
        for i in range(9):
            if there[left, i] and there[right, i]:
                rows = [u[right, j] for j in range(9) if there[right, j]]
                rows += [u[left, j] for j in range(9) if there[left, j] and j != i and same_view]
                logits = torch.stack(rows) @ u[left, i] / 0.2
                losses.append(logits.logsumexp(0) - u[left, i] @ u[right, i] / 0.2)
    value = clip_style(u, present=there, objective=MVInfoNCE(0.2, same_view_negatives=same_view)).total
    torch.testing.assert_close(value, torch.stack(losses).mean(), rtol=1e-12, atol=0)


@objectives
def test_nothing_there_at_all_is_zero_and_not_nan(objective: MVInfoNCE | MVDHEL) -> None:
    z = torch.stack(list(modalities().values())).requires_grad_()
    loss = clip_style(z, present=torch.zeros(3, 9, dtype=torch.bool), objective=objective).total
    loss.backward()
    assert loss == 0
    assert z.grad is not None
    assert z.grad.abs().max() == 0


def test_a_graph_may_leave_out_pairs_of_modalities() -> None:
    given = modalities()
    hub = MVInfoNCE(0.2, graph=[(0, 1), (1, 0), (0, 2), (2, 0)])
    two = MVInfoNCE(0.2)
    pairs = [{name: given[name] for name in ("video", other)} for other in ("sound", "text")]
    expected = sum(clip_style(pair, objective=two).total for pair in pairs) / 2
    torch.testing.assert_close(clip_style(given, objective=hub).total, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("given", "present", "message"),
    [
        ({"video": torch.ones(4, 3)}, None, "two or more modalities"),
        ({"video": torch.ones(4, 3), "sound": torch.ones(4, 2)}, None, r"sound \(4, 2\)"),
        ([torch.ones(4, 3), torch.ones(5, 3)], None, r"0 \(4, 3\), 1 \(5, 3\)"),
        ({"video": torch.ones(4, 3), "sound": torch.ones(4, 3)}, {"smell": torch.ones(4).bool()}, "names smell"),
        ([torch.ones(4, 3), torch.ones(4, 3)], torch.ones(2, 4), r"`present` of shape \(V, B\) = \(2, 4\), bool"),
    ],
)
def test_wrong_use_says_what_is_wanted(given: object, present: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ClipStyle()(given, present)
