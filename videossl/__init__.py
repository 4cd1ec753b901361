"""Self-supervised learning and world modelling on video, for a future that is one-to-many.

    import videossl
    model = videossl.load("runs/quickstart")
    embeddings = model.embed(frames)                                # frames (B, T, C, H, W) uint8
    futures = model.sample_futures(frames, num_samples=16, horizon=4)  # (B, K, S, D)

Importing this imports torch and little else: decoders, Lightning and plotting are imported by what uses them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videossl.loading import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load":
        from videossl.loading import load

        return load
    raise AttributeError(f"module 'videossl' has no attribute {name!r}")
