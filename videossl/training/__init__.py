"""Training by Lightning: joins data, models and objectives. Public names only.

Lightning takes seconds to import, so `pretrain` is imported when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from videossl.training.auxiliaries import Auxiliary, MotionPrediction, NextFrames, TranslatedView
from videossl.training.settings import TrainingSettings

if TYPE_CHECKING:
    from videossl.training.pretrain import Pretrained, pretrain

__all__ = [
    "Auxiliary",
    "MotionPrediction",
    "NextFrames",
    "Pretrained",
    "TrainingSettings",
    "TranslatedView",
    "pretrain",
]


def __getattr__(name: str) -> Any:
    if name in ("Pretrained", "pretrain"):
        module = importlib.import_module("videossl.training.pretrain")
        # The import has put the module under the name of the function.
        globals().update(Pretrained=module.Pretrained, pretrain=module.pretrain)
        return globals()[name]
    raise AttributeError(f"module 'videossl.training' has no attribute {name!r}")
