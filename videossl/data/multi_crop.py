"""Views of several sizes: a few global crops, many small local ones (arXiv:2006.09882, arXiv:2104.14294)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from videossl.data.augment import Augment
from videossl.data.augment_parameters import AugmentParameters, generator_of
from videossl.errors import UsageError


class CropGroup(Augment):
    """An augmentation for some of the views: those of one size.

    Args:
        views: How many, at least 1.
        **kwargs: Of `Augment`: size, scale, shared_crop (by the views of this group), colours, blur ...
    """

    def __init__(self, views: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if views < 1:
            raise UsageError(f"expected a group of at least 1 view, got {views}.")
        self.views = views


class MultiCrop(nn.Module):
    """uint8 views -> float views in groups of one size each.

    Places in time are the planner's: by default every view of every group has a clip of its own. With
    `own_clips=False` the crops of a group are cut from the clips in turn, however many there are: two clips and six
    local crops are three crops of each clip.

    An encoder takes each group by itself; the embeddings are joined along V, in the order of the groups. View graphs
    count the views in that order: with two global and six local crops, `graph: [[2, 0], [2, 1], [3, 0], ...]` lets
    local crops predict global ones and nothing else. "forward" in time means something with `own_clips` only.

    Args:
        groups: In order; the first ones get the first views.
        own_clips: The clips have as many views as the groups together.
    """

    def __init__(self, groups: Sequence[CropGroup], own_clips: bool = True) -> None:
        super().__init__()
        if not groups:
            raise UsageError("expected at least one group of crops, got none.")
        self.groups = nn.ModuleList(groups)
        self.own_clips = own_clips

    @property
    def num_views(self) -> int:
        """Views of all groups together."""
        return sum(group.views for group in self._groups)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels of the views that come out, group by group."""
        return tuple(group.size for group in self._groups)

    def num_views_from(self, num_clips: int) -> int:
        """Views V that are made of so many clips of a video.

        Raises:
            UsageError: The clips are not as many as the groups want.
        """
        if self.own_clips and num_clips != self.num_views:
            raise UsageError(
                f"augment MultiCrop has groups of {self._listed_views()} views, and data.clips.num_views is "
                f"{num_clips}. Set that to {self.num_views}, or augment.own_clips to false: then all crops are cut "
                "from those clips."
            )
        return self.num_views

    def forward(
        self, clips: Tensor, generator: torch.Generator | None = None, *, seed: int | None = None
    ) -> list[Tensor]:
        """Augmented views; in eval mode they are resized only.

        Args:
            clips: (B, V, T, C, H, W) uint8, RGB; V is `num_views`, or any number with `own_clips=False`.
            generator: Of all random choices; torch's own on the CPU if it is None.
            seed: Of a new generator, instead.

        Returns:
            One (B, views, T, C, size, size) float32 in [0, 1] for each group.

        Raises:
            UsageError: Not as many views as the groups have.
        """
        generator = generator_of(generator, seed)
        parts = self._parts(clips)
        return [group(part, generator) for group, part in zip(self._groups, parts, strict=True)]

    def draw(
        self, B: int, generator: torch.Generator | None = None, *, seed: int | None = None
    ) -> list[AugmentParameters]:
        """Parameters of every group for B videos."""
        generator = generator_of(generator, seed)
        return [group.draw(B, group.views, generator) for group in self._groups]

    def apply(  # type: ignore[override]
        self, clips: Tensor, parameters: Sequence[AugmentParameters]
    ) -> list[Tensor]:
        """Views changed by parameters of `draw`: the same pixels each time, whatever the mode."""
        parts = zip(self._groups, self._parts(clips), parameters, strict=True)
        return [group.apply(part, drawn) for group, part, drawn in parts]

    @property
    def _groups(self) -> list[CropGroup]:
        return [group for group in self.groups if isinstance(group, CropGroup)]

    def _listed_views(self) -> str:
        return " + ".join(str(group.views) for group in self._groups)

    def _parts(self, clips: Tensor) -> list[Tensor]:
        views = [group.views for group in self._groups]
        if self.own_clips:
            if clips.ndim < 2 or clips.shape[1] != self.num_views:
                raise UsageError(
                    f"expected clips with {self.num_views} views ({self._listed_views()}), got "
                    f"{tuple(clips.shape)}. Set num_views of the clips to that, or own_clips: false."
                )
            return list(torch.split(clips, views, dim=1))
        return [clips[:, torch.arange(number, device=clips.device) % clips.shape[1]] for number in views]
