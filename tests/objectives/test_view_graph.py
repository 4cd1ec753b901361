import pytest
import torch

from videossl.errors import UsageError
from videossl.objectives import ViewGraph, view_graph


def test_all_is_every_ordered_pair_of_different_views() -> None:
    assert view_graph("all", 3).tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]


def test_forward_predicts_later_views_only() -> None:
    assert view_graph("forward", 3).tolist() == [[0, 1], [0, 2], [1, 2]]


def test_given_pairs_keep_their_order() -> None:
    pairs = view_graph([(2, 0), (0, 1)], 3)
    assert pairs.tolist() == [[2, 0], [0, 1]]
    assert pairs.dtype == torch.int64


def test_anchors_and_targets_are_the_views_of_the_pairs() -> None:
    graph, views = ViewGraph.of([(2, 0), (0, 1), (2, 1)], 3), torch.randn(3, 4, 5)
    torch.testing.assert_close(graph.anchors(views), views[[2, 0, 2]])
    torch.testing.assert_close(graph.targets(views), views[[0, 1, 1]])
    assert (graph.anchor_views, graph.anchor_rows, graph.pairs_per_anchor) == ((0, 2), (1, 0, 1), (2, 1, 2))


@pytest.mark.parametrize(
    ("graph", "num_views", "message"),
    [
        ("all", 1, "at least 2 views, got 1"),
        ([], 2, "at least one pair"),
        ([(0, 0)], 2, "two different views"),
        ([(0, 5)], 2, r"out of 0..1, got \(0, 5\)"),
        ([(-1, 0)], 2, "two different views"),
        ([(0, 1), (0, 1)], 2, "every pair of the view graph once"),
        ("backward", 2, "got 'backward'"),
        ([(0, 1, 2)], 3, "a list of pairs"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(graph: object, num_views: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ViewGraph.of(graph, num_views)
