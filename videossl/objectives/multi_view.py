"""What all multi-view contrastive objectives ask of their inputs."""

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.contrast import check_batch
from videossl.objectives.temperature import Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph


def check_views(
    embeddings: Tensor,
    predictions: Tensor | None,
    graph: Graph,
    temperature: Temperature,
    present: Tensor | None = None,
) -> ViewGraph:
    """Check what a multi-view contrastive objective is given.

    Returns:
        The view graph for this number of views.

    Raises:
        UsageError: Wrong shapes, graph or temperature, or fewer than two videos.
    """
    if embeddings.ndim != 3:
        raise UsageError(
            f"expected embeddings of shape (V, B, D), got {tuple(embeddings.shape)}. Stack the views on the first axis."
        )
    check_temperature(temperature)
    check_batch(embeddings.shape[1])
    pairs = ViewGraph.of(graph, embeddings.shape[0])
    wanted = (len(pairs), *embeddings.shape[1:])
    if predictions is not None and tuple(predictions.shape) != wanted:
        raise UsageError(
            f"expected one prediction a pair of the view graph, shape (P, B, D) = {wanted}, got "
            f"{tuple(predictions.shape)}. Predict in the order of ViewGraph.pairs."
        )
    if present is not None and (present.shape != embeddings.shape[:2] or present.dtype != torch.bool):
        raise UsageError(
            f"expected `present` of shape (V, B) = {tuple(embeddings.shape[:2])}, bool, got {tuple(present.shape)} "
            f"{present.dtype}. Say for every view and video whether it is there."
        )
    return pairs
