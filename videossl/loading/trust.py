"""Which classes a config may name. A config that came with somebody's weights must not be able to run anything else.

jsonargparse imports and calls whatever a `class_path` says. That is what a user's own config is for; it must not happen
because a folder was downloaded and loaded. So every class that a loaded config names is looked at before: it has to be
one of this package's own, or of a package that the user has named.
"""

import importlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from videossl.errors import UsageError

VARIABLE = "VIDEOSSL_TRUST"
# Rooms whose classes describe a model, or how its clips were read. None of them does anything when it is made.
OWN = ("videossl.models", "videossl.transition", "videossl.data")
WORD = re.compile(r"[A-Za-z0-9_+-]*")  # what a setting like "mean_max" is made of: no import path, no file name


def trusted_packages(trust: Sequence[str] = ()) -> tuple[str, ...]:
    """Packages that the user trusts: those given here, and those in the variable VIDEOSSL_TRUST (`mine,others.models`).

    Raises:
        UsageError: A name that is no import path.
    """
    names = [*trust, *(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise UsageError(f"expected packages to trust as import paths like `mine.models`, got {name!r}.")
    return tuple(names)


def check_class_paths(section: object, expected: type, *, name: str, source: str, trust: Sequence[str] = ()) -> None:
    """Refuse a section of a config that names anything but trusted classes.

    Nothing outside of this package and the trusted ones is imported for it.

    Args:
        section: What the config says.
        expected: The class whose arguments stand in it.
        name: Of the section, for messages.
        source: Where the config came from, for messages.
        trust: Packages beside this one, see `trusted_packages`.

    Raises:
        UsageError: A `class_path` of elsewhere, or a text where only a class or a plain word is wanted.
    """
    if not isinstance(section, Mapping):
        raise UsageError(f"the section `{name}` of {source} is no mapping. Give the config of a run.")
    for where, path in _named(section, expected, name, trusted_packages(trust)):
        package = path.partition(".")[0] if "." in path else ""
        remedy = f"If you know who wrote it, trust it: {VARIABLE}={package}" if package else "Give its full import path"
        raise UsageError(
            f"{source} names `{path}` as {where}, which is no model class of videossl: refused, because a config from "
            f"elsewhere could run anything that way. {remedy}."
        )


def _named(value: object, expected: object, where: str, trusted: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(place, import path) of everything below that must not be imported."""
    if isinstance(value, Mapping) and "class_path" in value:
        path = value["class_path"]
        found = _resolved(path, trusted) if isinstance(path, str) else None
        if found is None:
            yield where, str(path)
            return
        for key, inner in value.items():
            if key != "class_path":
                yield from _named(inner, found, where, trusted)
    elif isinstance(value, Mapping):
        hints = _hints(expected)
        for key, inner in value.items():
            yield from _named(inner, hints.get(str(key), object), f"{where}.{key}", trusted)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named(inner, expected, where, trusted)
    elif isinstance(value, str) and not (
        WORD.fullmatch(value) or _is_text(expected) or _resolved(value, trusted) is not None
    ):
        yield where, value


def _resolved(path: str, trusted: tuple[str, ...]) -> type | None:
    """The class of this import path if it may be used; None if not."""
    module_name, _, class_name = path.rpartition(".")
    own = _within(module_name, OWN)
    if not class_name.isidentifier() or not (own or _within(module_name, trusted)):
        return None
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError:
        return None
    # A module shows whatever it has imported: `videossl.models.world_model.nn` is torch. Where it was defined counts.
    if not inspect.isclass(found) or (own and not _within(found.__module__, OWN)):
        return None
    return found


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _hints(expected: object) -> dict[str, Any]:
    """Types of the arguments that a class takes; empty for anything else."""
    if not inspect.isclass(expected):
        return {}
    try:
        return get_type_hints(expected.__init__)
    except (NameError, TypeError, AttributeError):
        return {}


def _is_text(annotation: object) -> bool:
    """Whether an argument of this type may be any text: `str`, or a union or list with it."""
    return annotation is str or any(_is_text(inner) for inner in get_args(annotation))
