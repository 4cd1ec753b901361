"""What the files beside the weights of a Hugging Face model say: how it wants clips, and how it gives tokens.

Nothing of a model is executed: no code of its repository, no pickle. This is the one file of this room that imports a
library beside torch and einops, `transformers`, and only when such an encoder is made.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from videossl.errors import UsageError

PREPROCESSORS = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class VideoLayout:
    """How a family of video models takes clips, and in which order it gives their tokens.

    Attributes:
        pattern: Order of the tokens after those that stand for the whole clip, as einops has it.
        frames: Name in the config of the number of frames that it was trained on.
        any_length: Whether its positions in time go on for ever. Otherwise there are as many as frames.
        size: Name in the config of the side of the frames.
        any_size: Whether it resizes its positions in space for frames of other sizes.
        resizable: Whether it can be built for another frame size with the same weights and right positions.
        options: Further arguments of its forward.
        unused: Parts that are not needed for tokens.
    """

    pattern: str
    frames: str
    size: str = "image_size"
    any_length: bool = False
    any_size: bool = False
    resizable: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    unused: tuple[str, ...] = ("pooler",)


# By `model_type`, because no config says it. Every entry is compared with the model itself in the tests.
VIDEO_LAYOUTS = {
    # Rotary positions in time and space (arXiv:2506.09985); the predictor, which needs half the time, is left out.
    "vjepa2": VideoLayout(
        "b (t h w) e",
        "frames_per_clip",
        size="crop_size",
        any_length=True,
        resizable=True,
        options=(("skip_predictor", True),),
        unused=("predictor",),
    ),
    "videomae": VideoLayout("b (t h w) e", "num_frames"),  # a table of positions (arXiv:2203.12602)
    "timesformer": VideoLayout("b (h w t) e", "num_frames", any_size=True),  # learnt positions (arXiv:2102.05095)
    "vivit": VideoLayout("b (t h w) e", "num_frames"),  # learnt positions (arXiv:2103.15691)
}


class Description(NamedTuple):
    """What is known of a model before its weights are read.

    Attributes:
        model_type: Its family, as `transformers` names it.
        width: Dimension of a token.
        patch_size: Side of a patch in pixels.
        tubelet_frames: Frames that it joins to one step in time; 1 for models of images.
        clip_frames: Frames that it was trained on; 1 for models of images.
        frame_size: Side of the frames that its preprocessor gives it.
        mean: Of pixels in [0, 1].
        std: Of pixels in [0, 1].
        layout: How it takes clips; None for models of images, which take frames.
    """

    model_type: str
    width: int
    patch_size: int
    tubelet_frames: int
    clip_frames: int
    frame_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: VideoLayout | None


def import_transformers() -> Any:
    """The library.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise UsageError("encoders of Hugging Face need transformers: pip install 'videossl[transformers]'.") from error
    return transformers


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Leave out progress bars, and the list of weights that a model has beyond its encoder."""
    from transformers.utils import logging

    logs: Any = logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()


def read_config(path: str, revision: str | None) -> Any:
    """The config of a model, from a folder or the hub (or its cache).

    Raises:
        UsageError: No such model, of a kind that transformers does not know, or quantised.
    """
    transformers = import_transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path} is no model that transformers knows: {_first_line(error)}") from error
    if getattr(config, "quantization_config", None) is not None:
        raise UsageError(f"{path} is quantised. Give the model in full precision.")
    return config


def describe(path: str, revision: str | None = None, config: Any = None) -> Description:
    """What the config and the preprocessor of a model say.

    Args:
        path: Folder or hub id.
        revision: On the hub.
        config: The config, where it was read already.

    Raises:
        UsageError: No model of images or videos, a family of video models that is not known, or no preprocessor.
    """
    config = read_config(path, revision) if config is None else config
    layout = VIDEO_LAYOUTS.get(config.model_type)
    looks_like_video = any(hasattr(config, name) for name in ("num_frames", "frames_per_clip", "tubelet_size"))
    if layout is None and looks_like_video:
        raise UsageError(
            f"{path} is a video model of the family {config.model_type}; how its tokens are ordered is known of "
            f"{', '.join(VIDEO_LAYOUTS)}. Models of images of every family are taken frame by frame."
        )
    tubelet = getattr(config, "tubelet_size", 1)
    patch = getattr(config, "patch_size", None) or tubelet
    width = getattr(config, "hidden_size", None)
    if not isinstance(width, int) or patch == 1:
        raise UsageError(
            f"{path} ({config.model_type}) is no vision transformer: its config has no hidden_size and patch_size."
        )
    size = _side(getattr(config, layout.size if layout else "image_size", None), path)
    mean, std, preprocessed = _preprocessing(path, revision)
    return Description(
        config.model_type,
        width,
        _side(patch[1:] if isinstance(patch, list | tuple) and len(patch) == 3 else patch, path) or 1,
        int(tubelet[0] if isinstance(tubelet, list | tuple) else tubelet),
        int(getattr(config, layout.frames)) if layout else 1,
        (size if layout and not layout.any_size else None) or preprocessed or size or 224,
        mean,
        std,
        layout,
    )


def preprocessor_file(path: str, revision: str | None) -> Path | None:
    """The file that says how a model wants its pixels; None if it has none."""
    from transformers.utils.hub import cached_file

    for name in PREPROCESSORS:
        found = cached_file(
            path,
            name,
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is not None:
            return Path(found)
    return None


def _preprocessing(path: str, revision: str | None) -> tuple[tuple[float, ...], tuple[float, ...], int | None]:
    """Mean, deviation (of pixels in [0, 1]) and frame size of the preprocessor.

    Read from the file, because the classes that would read it need torchvision.
    """
    file = preprocessor_file(path, revision)
    if file is None:
        raise UsageError(
            f"{path} has no {PREPROCESSORS[1]}, so how its pixels are to be normalised is not known. Put the one of "
            'the model that it comes from there, for example {"image_mean": [0.485, 0.456, 0.406], "image_std": '
            "[0.229, 0.224, 0.225]}."
        )
    try:
        said = json.loads(file.read_text())
        said = said.get("video_processor") or said.get("image_processor") or said
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if said.get("do_normalize", True):
            mean, std = (tuple(map(float, said[name])) for name in ("image_mean", "image_std"))  # type: ignore[assignment]
        scale = 255 * float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 255.0
        shift = 1.0 if said.get("offset") else 0.0  # of ViViT: pixels in [-1, 1]
        size = said["crop_size"] if said.get("do_center_crop") and "crop_size" in said else said.get("size")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} cannot be used: {_first_line(error)}") from error
    # (scale x - shift - mean) / std with x in [0, 1], as one mean and one deviation of x
    mean = tuple((value + shift) / scale for value in mean)  # type: ignore[assignment]
    std = tuple(value / scale for value in std)  # type: ignore[assignment]
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge")
    return mean, std, size if isinstance(size, int) else None


def _side(size: Any, path: str) -> int | None:
    """One side of what must be square."""
    if isinstance(size, list | tuple):
        if len(set(size)) != 1:
            raise UsageError(
                f"{path} has patches or frames of {' x '.join(map(str, size))}; only square ones are taken."
            )
        return int(size[0])
    return None if size is None else int(size)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
