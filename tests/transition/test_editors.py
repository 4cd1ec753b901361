import pytest
import torch
from torch import nn

from videossl.errors import UsageError
from videossl.transition import AdditiveEditor, LowRankEditor, MLPEditor

D, R = 6, 3
EDITORS = [MLPEditor, AdditiveEditor, LowRankEditor]


def states(*shape: int, dim: int = D) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(*shape, dim, generator=torch.Generator().manual_seed(0)), dim=-1)


@pytest.mark.parametrize("editor", [MLPEditor, LowRankEditor])
def test_it_starts_as_the_identity_and_leaves_it_at_the_first_step(editor: type[nn.Module]) -> None:
    edit, r = editor(D, R), torch.randn(5, R)
    assert torch.equal(edit(states(5), r), states(5))
    (edit(states(5), r) * states(5).flip(0)).sum().backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in edit.parameters())


def test_the_low_rank_editor_is_its_formula() -> None:
    edit = LowRankEditor(D, R)
    nn.init.normal_(edit.write.weight)
    e, r = states(1)[0], torch.tensor([0.5, 0.0, -2.0])
    by_hand = e.clone()
    for k in range(R):
        by_hand += edit.write.weight[:, k] * torch.tanh(r[k]) * (edit.read.weight[k] @ e + edit.read.bias[k])
    torch.testing.assert_close(edit(e, r), by_hand)
    torch.testing.assert_close(edit(e, torch.zeros(R)), e)  # no r, no change


@pytest.mark.parametrize("dim", [16, 256])
def test_the_low_rank_editor_reads_coordinates_of_about_one_at_any_width(dim: int) -> None:
    torch.manual_seed(0)
    read = LowRankEditor(dim, 64).read(states(100, dim=dim))
    assert 0.3 < read.std() < 1


@pytest.mark.parametrize("editor", EDITORS)
def test_a_batch_is_edited_as_its_rows_are_and_r_makes_a_difference(editor: type[nn.Module]) -> None:
    torch.manual_seed(0)
    edit = editor(D, R)
    for parameter in edit.parameters():
        nn.init.normal_(parameter)
    e, r = states(2, 5), torch.randn(2, 5, R)
    edited = edit(e, r)
    torch.testing.assert_close(edited[1, 3], edit(e[1, 3], r[1, 3]))
    assert not torch.allclose(edited, edit(e, -r))


@pytest.mark.parametrize("editor", EDITORS)
@pytest.mark.parametrize("latent", [None, torch.zeros(5, R + 1)], ids=["none", "too_wide"])
def test_another_latent_than_it_was_made_for_is_refused(editor: type[nn.Module], latent: torch.Tensor | None) -> None:
    with pytest.raises(UsageError, match="expected a latent of 3 dimensions, got"):
        editor(D, R)(states(5), latent)


@pytest.mark.parametrize("editor", [AdditiveEditor, LowRankEditor])
def test_an_editor_that_needs_a_latent_is_not_made_without_one(editor: type[nn.Module]) -> None:
    with pytest.raises(UsageError, match="without a latent does nothing"):
        editor(D, 0)


def test_the_mlp_editor_without_a_latent_predicts_from_the_state_alone() -> None:
    edit = MLPEditor(D, 0)
    for parameter in edit.parameters():
        nn.init.normal_(parameter)
    assert not torch.allclose(edit(states(5), None), states(5))
