"""Training by Lightning: joins data, models and objectives. Public names only.

Lightning takes seconds to import, so `pretrain` is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from videossl.training.auxiliaries import Auxiliary, MotionPrediction, TranslatedView
from videossl.training.settings import TrainingSettings

if TYPE_CHECKING:
    from videossl.training.pretrain import Pretrained, pretrain

__all__ = ["Auxiliary", "MotionPrediction", "Pretrained", "TrainingSettings", "TranslatedView", "pretrain"]


def __getattr__(name: str) -> Any:
    if name in ("Pretrained", "pretrain"):
        from videossl.training import pretrain as module

        return getattr(module, name)
    raise AttributeError(f"module 'videossl.training' has no attribute {name!r}")
