"""Whether a model can be evaluated: the methods that it has, and the shapes of what they return."""

from collections.abc import Mapping

from torch import Tensor

from videossl.errors import UsageError, WorkError
from videossl.evaluation.shapes import check_finite
from videossl.types import Embeddings

ALWAYS = ("embed", "sample_futures", "mean_future")
OF_TWIN = ("embed", "mean_future")
WITH_LATENT = ("posterior_futures", "latent_distributions")
SEE = "See videossl.evaluation.FutureModel."


def check_future_model(model: object, *, untrained: bool = False) -> None:
    """Refuse a model that lacks something that its evaluation will ask for.

    Args:
        model: What should be a `FutureModel`.
        untrained: The same architecture with fresh weights will be asked for, too.

    Raises:
        UsageError: Something is missing.
    """
    needed = list(ALWAYS)
    if getattr(model, "latent", None) is not None:
        needed += WITH_LATENT
    if untrained:
        needed.append("reinitialised")
    missing = [name for name in needed if not callable(getattr(model, name, None))]
    remedies = []
    if not hasattr(model, "latent"):
        missing.append("latent")
        remedies.append("Set latent = None if it is deterministic.")
    if "reinitialised" in missing:
        remedies.append("Without reinitialised, evaluate with untrained=False.")
    if missing:
        raise UsageError(
            f"expected a model with {', '.join([*needed, 'latent'])}, got {type(model).__name__} without "
            f"{', '.join(missing)}. {' '.join([*remedies, SEE])}"
        )


def check_twin(twin: object) -> None:
    """Refuse a deterministic twin that cannot say its one answer; nothing else is asked of it.

    Raises:
        UsageError: A method is missing.
    """
    missing = [name for name in OF_TWIN if not callable(getattr(twin, name, None))]
    if missing:
        raise UsageError(
            f"expected a twin with {' and '.join(OF_TWIN)}, got {type(twin).__name__} without {', '.join(missing)}. "
            f"{SEE}"
        )


def checked_embeddings(given: Embeddings, num_clips: int) -> Embeddings:
    """What `embed` returned for so many clips, if it fits and is finite.

    Raises:
        UsageError: Another type or shape.
        WorkError: NaN or infinity.
    """
    axes: dict[str, dict[str, int | None]] = {
        "representation": {"B": num_clips, "E": None},
        "embedding": {"B": num_clips, "D": None},
        "frames": {"B": num_clips, "T'": None, "E": None},
    }
    missing = [name for name in axes if not hasattr(given, name)]
    if missing:
        raise UsageError(
            f"expected embed to return videossl.types.Embeddings, got {type(given).__name__} without "
            f"{', '.join(missing)}. Return Embeddings(representation, embedding, frames)."
        )
    for name, of_part in axes.items():
        check_returned(f"embed(...).{name}", getattr(given, name), of_part)
    return given


def checked_futures(method: str, given: Tensor, states: Tensor, **between: int) -> Tensor:
    """What a method returned for states (B, D), if it fits and is finite.

    Args:
        method: Its name.
        given: (B, ..., D).
        states: Of which it was asked.
        between: The axes between B and D, letter and size, in their order.

    Raises:
        UsageError: Another type or shape.
        WorkError: NaN or infinity.
    """
    check_returned(method, given, {"B": len(states), **between, "D": states.shape[1]})
    return given


def check_returned(what: str, given: object, axes: Mapping[str, int | None]) -> None:
    """Refuse what a model returned if it is anything but a finite tensor of these axes, letter and size.

    Args:
        what: What it is.
        given: What was returned.
        axes: Letter -> size; None: any.

    Raises:
        UsageError: Another type or shape.
        WorkError: NaN or infinity.
    """
    sizes = list(axes.values())
    known = [letter if size is None else str(size) for letter, size in axes.items()]
    wanted = f"({', '.join(axes)}) = ({', '.join(known)})"
    if not isinstance(given, Tensor):
        raise UsageError(f"expected {what} to be a tensor {wanted}, got {type(given).__name__}. {SEE}")
    if not _fits(given, sizes):
        lacking = [
            f"Add the axis {letter}: [{':, ' * place}None]."
            for place, letter in enumerate([*axes][:-1])
            if _fits(given, sizes[:place] + sizes[place + 1 :])
        ]
        # Where several may be the one, because their sizes are 1 or free, it is the latest: S is forgotten before K.
        raise UsageError(f"expected {what} of shape {wanted}, got {tuple(given.shape)}. {[SEE, *lacking][-1]}")
    check_finite(f"values of {what}", given, WorkError)


def _fits(given: Tensor, sizes: list[int | None]) -> bool:
    return given.ndim == len(sizes) and all(
        wanted in (None, got) for wanted, got in zip(sizes, given.shape, strict=True)
    )
