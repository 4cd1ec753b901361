"""Predictions over several steps by one transition: the editor is applied to what it predicted itself.

With views at the times 0, 1, 2, ... and one r a step, the prediction of view m from view l is
`t(... t(t(u[l], r[l>l+1]), r[l+1>l+2]) ..., r[m-1>m])`, with the state brought to unit norm between two steps (as the
world model does it). Scored against view m, it trains the transition for the way in which futures are sampled: an error
of the first step is seen by the second one, and gradients go back through the chain (multi-step prediction in latent
space: PlaNet, arXiv:1811.04551, section 4; TD-MPC2 and JEPA world models train likewise).
"""

import copy

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import MultiViewObjective
from videossl.objectives.contrast import unit
from videossl.objectives.view_graph import ViewGraph, take
from videossl.transition.protocols import Editor


def single_steps(graph: ViewGraph) -> ViewGraph:
    """The steps that the pairs of a graph are made of: (0, 1), (1, 2), ..., as far as pairs go.

    Raises:
        UsageError: A pair that goes back in time.
    """
    backwards = [pair for pair in graph.pairs if pair[0] > pair[1]]
    if backwards:
        raise UsageError(
            f"a rollout goes forward in time, got the pair {backwards[0]} of the view graph. Set objective.graph to "
            '"forward", and let the views be in order of time.'
        )
    walked = {step for left, right in graph.pairs for step in range(left, right)}
    return ViewGraph(tuple((step, step + 1) for step in sorted(walked)), graph.num_views)


def over_steps(objective: MultiViewObjective, steps: ViewGraph) -> MultiViewObjective:
    """The same objective, with the same weights, over single steps: what a code of one step costs."""
    copied = copy.copy(objective)
    copied.graph = list(steps.pairs)
    return copied


def roll_out(
    editor: Editor, states: Tensor, latent: Tensor | None, graph: ViewGraph, *, normalise: bool = True
) -> Tensor:
    """Predict the target of every pair from its anchor by as many steps as lie between them.

    Args:
        editor: One step: (state, r) -> next state, not normalised.
        states: (V, B, D), of views in order of time.
        latent: (S, B, R), r of the S single steps of the graph (`single_steps`); None without a latent.
        graph: P pairs, forward in time.
        normalise: Whether the editor sees states of unit norm.

    Returns:
        (P, B, D), not normalised: of pairs that are one step apart, what the editor says of it.

    Raises:
        UsageError: A pair that goes back in time.
    """
    row_of = {left: row for row, (left, _) in enumerate(single_steps(graph).pairs)}
    predicted: dict[tuple[int, int], Tensor] = {}
    longest = max(right - left for left, right in graph.pairs)
    reached = {left: states[left] for left in graph.anchor_views}  # by every anchor so far
    for step in range(1, longest + 1):
        going = sorted({left for left, right in graph.pairs if right - left >= step})
        before = torch.stack([reached[left] for left in going])
        r = None if latent is None else take(latent, [row_of[left + step - 1] for left in going])
        edited = editor(before, r)  # all anchors at once
        for row, left in enumerate(going):
            predicted[left, left + step] = edited[row]
            reached[left] = unit(edited[row]) if normalise else edited[row]
    return torch.stack([predicted[pair] for pair in graph.pairs])
