"""Clips through the encoder, batch by batch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videossl.errors import UsageError, WorkError
from videossl.extraction.embedder import Embedder, TokenEmbedder
from videossl.extraction.reading import Clip
from videossl.extraction.settings import Level


@dataclass(frozen=True, eq=False)
class EmbeddedClip:
    """A clip without its pixels, and what the encoder says of it.

    Attributes:
        clip: The clip.
        vectors: float32: its frame vectors (T', E), its representation (1, E), or its tokens (T', H', W', E),
            depending on the level; None if the clip could not be read.
    """

    clip: Clip
    vectors: NDArray[np.float32] | None


def batches(clips: Iterable[Clip], batch_size: int) -> Iterator[list[Clip]]:
    """Fill batches across videos: `batch_size` clips that can be read, and those between them that cannot.

    Only the last one may be smaller.
    """
    batch: list[Clip] = []
    num_readable = 0
    for clip in clips:
        batch.append(clip)
        num_readable += clip.pixels is not None
        if num_readable == batch_size:
            yield batch
            batch, num_readable = [], 0
    if batch:
        yield batch


class BatchEncoder:
    """Embeds batches of clips, from any number of threads at once.

    Args:
        model: On `device`, in evaluation mode.
        level: What is taken of its embeddings.
        device: Where it is.
        precision: float32, or bfloat16 or float16 for autocast.
        compiled: Compile it with `torch.compile`. Batches are filled up to `batch_size` then, so that there is one
            shape to compile for.
        batch_size: Clips of a full batch.
        threads_each: Threads of torch for each call on a CPU; None leaves them as they are.

    Raises:
        UsageError: Level "token", and the model gives no tokens.
    """

    def __init__(
        self,
        model: Embedder,
        *,
        level: Level,
        device: torch.device | str,
        precision: torch.dtype = torch.float32,
        compiled: bool = False,
        batch_size: int = 64,
        threads_each: int | None = None,
    ) -> None:
        if level == "token" and not isinstance(model, TokenEmbedder):
            raise UsageError(
                f"level token needs a model that gives tokens, and {type(model).__name__} has no method `tokens`. "
                "Choose level frame, clip or video."
            )
        self._device = torch.device(device)
        self._precision = precision
        self._fill = batch_size if compiled else 0
        self._threads_each = threads_each
        vectors = _vectors_of(model, level)
        self._vectors: Callable[[Tensor], Tensor] = torch.compile(vectors) if compiled else vectors

    def __call__(self, batch: Sequence[Clip]) -> list[EmbeddedClip]:
        """The clips of a batch, in order.

        Raises:
            WorkError: The model gives numbers that are none.
        """
        if self._threads_each is not None and torch.get_num_threads() != self._threads_each:
            torch.set_num_threads(self._threads_each)
        pixels = [clip.pixels for clip in batch if clip.pixels is not None]
        rows: Iterator[NDArray[np.float32]] = iter(self._encode(pixels) if pixels else [])
        embedded = []
        for clip in batch:
            forgotten = Clip(clip.video, clip.window, clip.number, None, clip.cause)
            if clip.pixels is None:
                embedded.append(EmbeddedClip(forgotten, None))
                continue
            values = next(rows)
            if not np.isfinite(values).all():
                raise WorkError(
                    f"the model's embedding of {clip.video.name} is not finite. Its weights are broken, or "
                    f"{self._precision} is too narrow for it: try float32."
                )
            embedded.append(EmbeddedClip(forgotten, values))
        return embedded

    @torch.inference_mode()
    def _encode(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(T, H, W, 3) of B clips -> (B, n, E) or (B, T', H', W', E)."""
        missing = max(0, self._fill - len(pixels))
        stacked = torch.from_numpy(np.stack([*pixels, *[pixels[-1]] * missing]))
        if self._device.type == "cuda":
            stacked = stacked.pin_memory()
        clips = stacked.to(self._device, non_blocking=True).movedim(-1, 2)  # (B, T, 3, H, W)
        with torch.autocast(self._device.type, self._precision, enabled=self._precision != torch.float32):
            vectors = self._vectors(clips)
        return vectors[: len(pixels)].float().cpu().numpy()


def _vectors_of(model: Embedder, level: Level) -> Callable[[Tensor], Tensor]:
    if level == "token":
        assert isinstance(model, TokenEmbedder)
        return model.tokens
    if level == "frame":
        return lambda clips: model.embed(clips).frames
    return lambda clips: model.embed(clips).representation[:, None]
