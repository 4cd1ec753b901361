"""Contrast three or more modalities of the same things at once, some of them missing (arXiv:2507.06979).

For two modalities that are all there it is the loss of CLIP (arXiv:2103.00020).

Shapes: V modalities, B things (videos), D embedding. Every modality has an encoder of its own; only the embedding
dimension is the same.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.base import Loss
from videossl.objectives.mv_dhel import MVDHEL
from videossl.objectives.mv_infonce import MVInfoNCE

Modalities = Mapping[str, Tensor] | Sequence[Tensor] | Tensor
"""Embeddings (B, D) of every modality, by name or in order."""


def clip_style(
    modalities: Modalities, *, present: Mapping[str, Tensor] | Tensor | None = None, objective: MVInfoNCE | MVDHEL
) -> Loss:
    """A multi-view objective with modalities as its views, in nats.

    With `MVInfoNCE()` and two modalities this is CLIP's symmetric cross-entropy. Normalisation, chance level and what
    is in the denominator are the objective's. With modalities missing, means are over the pairs that are there, and a
    missing embedding is no negative either: its values do not matter (anything finite) and it gets no gradient.

    Args:
        modalities: Raw embeddings, (B, D) each, two modalities or more; a tensor (V, B, D) as well.
        present: Which of them are there: (B,) bool by the same names (a name left out: all are), or (V, B). None: all.
        objective: What contrasts them; its view graph may leave out pairs of modalities.

    Returns:
        The objective's loss.

    Raises:
        UsageError: Modalities of different shapes, unknown names in `present`, or what the objective refuses.
    """
    if not isinstance(objective, MVInfoNCE | MVDHEL):
        raise UsageError(f"expected MVInfoNCE(...) or MVDHEL(...), which know what is missing, got {objective!r}.")
    if isinstance(modalities, Mapping) and any(part is None for part in modalities.values()):
        raise UsageError("a modality is None. Leave it out, or say in `present` for which things it is missing.")
    names = list(modalities) if isinstance(modalities, Mapping) else [str(index) for index in range(len(modalities))]
    embeddings = list(modalities.values()) if isinstance(modalities, Mapping) else list(modalities)
    shapes = {tuple(embedding.shape) for embedding in embeddings}
    if len(embeddings) < 2 or len(shapes) > 1:
        got = ", ".join(f"{name} {tuple(e.shape)}" for name, e in zip(names, embeddings, strict=True))
        raise UsageError(
            f"expected two or more modalities of the same shape (B, D), got {got or 'none'}. Project them to one size."
        )
    if isinstance(present, Mapping):
        unknown = sorted(present.keys() - set(names))
        if unknown:
            raise UsageError(f"`present` names {', '.join(unknown)}, but the modalities are {', '.join(names)}.")
        everywhere = torch.ones(embeddings[0].shape[:1], dtype=torch.bool, device=embeddings[0].device)
        for name, mask in present.items():
            if mask.shape != everywhere.shape:
                raise UsageError(
                    f"expected `present` of {name} of shape {tuple(everywhere.shape)}, got {tuple(mask.shape)}."
                )
        present = torch.stack([present.get(name, everywhere) for name in names])
    loss = objective(torch.stack(embeddings), present=present)
    assert isinstance(loss, Loss)  # for the type checker: calling a module gives anything
    return loss


class ClipStyle(nn.Module):
    """`clip_style` with its objective. Terms: the objective's.

    Args:
        objective: What contrasts the modalities; default MV-InfoNCE, one energy a pair.
    """

    def __init__(self, objective: MVInfoNCE | MVDHEL | None = None) -> None:
        super().__init__()
        self.objective = MVInfoNCE() if objective is None else objective

    def forward(self, modalities: Modalities, present: Mapping[str, Tensor] | Tensor | None = None) -> Loss:
        """Embeddings (B, D) of every modality, and which are there -> Loss."""
        return clip_style(modalities, present=present, objective=self.objective)
