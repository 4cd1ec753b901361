"""The view graph: which ordered pairs of views are trained on.

Plain Python, because it is a handful of integers that are known before the batch: pairs are gathered by stacking
views, so no index travels to the device and nothing waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Literal

import torch
from torch import Tensor

from videossl.errors import UsageError

Graph = Literal["all", "forward"] | list[tuple[int, int]]
"""How a config says a view graph: "all" ordered pairs, "forward" in time only (l < m), or the pairs themselves."""


@dataclass(frozen=True)
class ViewGraph:
    """Ordered pairs (l, m), l != m: view l is the anchor (context), view m its target (future).

    Attributes:
        pairs: The P pairs; every `(P, ...)` tensor of the objectives is in this order.
        num_views: V.

    Raises:
        UsageError: Fewer than two views, no pair, a pair twice, a view paired with itself or not there.
    """

    pairs: tuple[tuple[int, int], ...]
    num_views: int

    def __post_init__(self) -> None:
        if self.num_views < 2:
            raise UsageError(
                f"a view graph needs at least 2 views, got {self.num_views}. Set data.clips.num_views=2 or more."
            )
        if not self.pairs:
            raise UsageError(
                'a view graph needs at least one pair, got none. Use "all", "forward" or pairs like [[0, 1]].'
            )
        for pair in self.pairs:
            if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= view < self.num_views for view in pair):
                raise UsageError(
                    f"expected pairs (l, m) of two different views out of 0..{self.num_views - 1}, got {pair}. "
                    f"Correct the graph or set data.clips.num_views."
                )
        if len(set(self.pairs)) < len(self.pairs):
            raise UsageError(f"expected every pair of the view graph once, got {list(self.pairs)}. Remove the repeats.")

    @classmethod
    def all_pairs(cls, num_views: int) -> "ViewGraph":
        """All V(V-1) ordered pairs, in lexicographic order."""
        views = range(num_views)
        return cls(tuple((left, right) for left in views for right in views if left != right), num_views)

    @classmethod
    def forward(cls, num_views: int) -> "ViewGraph":
        """The V(V-1)/2 pairs whose target comes later than its anchor (views are in order of time)."""
        views = range(num_views)
        return cls(tuple((left, right) for left in views for right in views if left < right), num_views)

    @classmethod
    def of(cls, graph: "Graph | ViewGraph", num_views: int) -> "ViewGraph":
        """The graph that a config names, for this number of views."""
        if isinstance(graph, ViewGraph):
            if graph.num_views != num_views:
                raise UsageError(f"expected {graph.num_views} views, as the view graph has, got {num_views}.")
            return graph
        if isinstance(graph, str) and graph in ("all", "forward"):
            return cls.all_pairs(num_views) if graph == "all" else cls.forward(num_views)
        try:
            if isinstance(graph, str) or any(isinstance(pair, str) for pair in graph):
                raise TypeError
            pairs = tuple((index(left), index(right)) for left, right in graph)
        except (TypeError, ValueError):
            message = f'expected a view graph "all", "forward" or a list of pairs like [[0, 1]], got {graph!r}.'
            raise UsageError(message) from None
        return cls(pairs, num_views)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def unordered_pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs {l, m} that are joined in one direction or both, as (l, m) with l < m, ascending."""
        return tuple(sorted({(min(pair), max(pair)) for pair in self.pairs}))

    @property
    def anchor_views(self) -> tuple[int, ...]:
        """The views that are an anchor of some pair, ascending: A of them."""
        return tuple(sorted({left for left, _ in self.pairs}))

    @property
    def views(self) -> tuple[int, ...]:
        """The views that are in some pair, ascending."""
        return tuple(sorted({view for pair in self.pairs for view in pair}))

    @property
    def anchor_rows(self) -> tuple[int, ...]:
        """For every pair, where its anchor stands in `anchor_views`."""
        return tuple(self.anchor_views.index(left) for left, _ in self.pairs)

    @property
    def pairs_per_anchor(self) -> tuple[int, ...]:
        """For every pair, how many pairs share its anchor."""
        lefts = [left for left, _ in self.pairs]
        return tuple(lefts.count(left) for left in lefts)

    def anchors(self, views: Tensor) -> Tensor:
        """(V, ...) -> (P, ...): the anchor of every pair."""
        return take(views, [left for left, _ in self.pairs])

    def targets(self, views: Tensor) -> Tensor:
        """(V, ...) -> (P, ...): the target of every pair."""
        return take(views, [right for _, right in self.pairs])


def take(rows: Tensor, which: Sequence[int]) -> Tensor:
    """Rows of the first axis in the order asked, without an index tensor (which would have to reach the device)."""
    parts = rows.unbind(0)
    return torch.stack([parts[row] for row in which])


def view_graph(graph: Graph, num_views: int) -> Tensor:
    """The pairs of a view graph as a tensor.

    Args:
        graph: "all", "forward", or a list of pairs (l, m).
        num_views: V.

    Returns:
        Tensor of shape (P, 2), int64, on the CPU: column 0 the anchors l, column 1 the targets m.

    Raises:
        UsageError: See `ViewGraph`.
    """
    return torch.tensor(ViewGraph.of(graph, num_views).pairs, dtype=torch.int64)
