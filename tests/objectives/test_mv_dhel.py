import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.mv_dhel import MVDHEL, DHELAlignment, mv_dhel
from videossl.objectives.view_graph import Graph, ViewGraph

ALIGNMENTS: tuple[DHELAlignment, ...] = ("log_of_sum", "log_of_sum_per_anchor", "mean_of_logs")
alignments = st.sampled_from(ALIGNMENTS)
seeds = st.integers(0, 2**31)
quick = settings(max_examples=25, deadline=None)


def embeddings(num_views: int, num_videos: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_views, num_videos, dim, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("self_in_energy", [False, True])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("graph", ["all", "forward", [(2, 0), (2, 1)]])
def test_the_value_is_the_formula(graph: Graph, alignment: DHELAlignment, self_in_energy: bool) -> None:
    z, pairs = embeddings(3, 5, 4, seed=0), ViewGraph.of(graph, 3)
    u = F.normalize(z, dim=-1)
    expected = []
    for i in range(5):
        energy = 0.0
        for left in pairs.views:
            others = [j for j in range(5) if j != i or self_in_energy]
            energy += math.log(sum(math.exp(u[left, i] @ u[left, j] / 0.3) for j in others))
        aligned = {(left, right): float(u[left, i] @ u[right, i] / 0.3) for left, right in pairs.pairs}
        sums = [[a for (left, _), a in aligned.items() if left == view] for view in pairs.anchor_views]
        alignment_term = {
            "log_of_sum": math.log(sum(map(math.exp, aligned.values()))),
            "log_of_sum_per_anchor": sum(math.log(sum(map(math.exp, s))) for s in sums) / len(sums),
            "mean_of_logs": sum(aligned.values()) / len(aligned),
        }[alignment]
        expected.append(energy - alignment_term)
    value = mv_dhel(z, temperature=0.3, graph=graph, alignment=alignment, self_in_energy=self_in_energy)
    assert value.item() == pytest.approx(sum(expected) / 5, rel=1e-12)


@quick
@given(seed=seeds, alignment=alignments, num_views=st.integers(2, 5))
def test_predictions_that_are_the_anchors_change_nothing(seed: int, alignment: DHELAlignment, num_views: int) -> None:
    z = embeddings(num_views, 6, 5, seed)
    objective = MVDHEL(0.2, "all", alignment)
    predictions = 3.0 * ViewGraph.all_pairs(num_views).anchors(z)
    torch.testing.assert_close(objective(z, predictions).total, objective(z).total, rtol=1e-10, atol=1e-12)


@quick
@given(seed=seeds, alignment=alignments, data=st.data())
def test_the_order_of_videos_and_of_views_with_their_graph_does_not_matter(
    seed: int, alignment: DHELAlignment, data: st.DataObject
) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order, videos = data.draw(st.permutations(range(4))), data.draw(st.permutations(range(5)))
    z, predictions = embeddings(4, 5, 3, seed), embeddings(len(graph), 5, 3, seed + 1)
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    value = MVDHEL(0.1, graph, alignment)(z, predictions).total
    moved = MVDHEL(0.1, moved_graph, alignment)(z[list(order)][:, list(videos)], predictions[:, list(videos)]).total
    torch.testing.assert_close(moved, value, rtol=1e-10, atol=1e-12)


@quick
@given(seed=seeds, alignment=alignments, exponent=st.floats(-6, 6))
def test_the_scale_of_every_embedding_does_not_matter(seed: int, alignment: DHELAlignment, exponent: float) -> None:
    z = embeddings(3, 5, 4, seed)
    scale = 10 ** (exponent * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype))
    objective = MVDHEL(0.1, "all", alignment)
    torch.testing.assert_close(objective(scale * z).total, objective(z).total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_views", [2, 4])
def test_collapsed_embeddings_are_at_the_chance_level_that_the_docstring_states(num_views: int) -> None:
    z, tau = torch.ones(num_views, 7, 8), 0.2
    level = num_views * math.log(6) + (num_views - 1) / tau
    pairs = {
        "log_of_sum": num_views * (num_views - 1), "log_of_sum_per_anchor": num_views - 1, "mean_of_logs": 1
    }  # fmt: skip
    for alignment in ALIGNMENTS:
        expected = level - math.log(pairs[alignment])
        assert MVDHEL(tau, "all", alignment)(z).total.item() == pytest.approx(expected, rel=1e-5)


def test_energy_and_alignment_are_logged_and_make_the_value() -> None:
    loss = MVDHEL(0.2, "forward")(embeddings(3, 5, 4, seed=0).requires_grad_())
    assert not any(term.requires_grad for term in loss.terms.values())
    torch.testing.assert_close(loss.terms["energy"] - loss.terms["alignment"], loss.total.detach())
    assert loss.terms["aligned_logit_per_pair"].shape == (3,)


def test_an_unknown_alignment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"expected an alignment out of log_of_sum, .*, got 'sum'"):
        mv_dhel(torch.ones(2, 4, 3), temperature=0.1, alignment="sum")  # type: ignore[arg-type]
