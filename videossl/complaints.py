"""What jsonargparse says of a wrong option, in words of those who wrote it."""

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable

# Packages whose public classes are what a config names.
NAMED_IN_CONFIGS = ("videossl.data", "videossl.models", "videossl.objectives", "videossl.training")

KEY = re.compile(r'Parser key "([^"]+)":\s*')
UNION = re.compile(r"Does not validate against any of the Union subtypes\s*Subtypes:.*?Errors:", re.DOTALL)
GIVEN = re.compile(r"(?:\.\s*Got value:|\s*Given value:)\s*(.*)", re.DOTALL)
TYPE = re.compile(r"Expected an? (?:<class '(?:\w+\.)*(\w+)'>|typing\.Literal\[([^\]]*)\])")
NO_ATTRIBUTE = re.compile(r"module '[\w.]+' has no attribute '\w+'")
NO_OPTION = re.compile(r"(?:Option '([^']+)' is not accepted|Group '([^']+)' does not accept option '([^']+)')")
HELP = re.compile(r"(--\S+\.help): Expected a dot import path string: (.*)")
NOT_A = re.compile(r"Import path (\S+) does not correspond to a subclass of (\S+)")
NO_CLASS_YET = (
    "these are settings of a class, and none is named. Name it first: its class_path in a config, or the class as the "
    "value of this option, before its settings"
)


def readable(message: str, *, options: Iterable[str], owner: str | None = None) -> str:
    """Say in one line what was wanted and what came, and what it may have been meant for.

    Args:
        message: What jsonargparse says. What is not known here stays as it is, in one line.
        options: Names that would have been taken, without dashes.
        owner: The class whose options they are, if it is not the verb.

    Returns:
        One line without a full stop at its end, unless it ends in a guess.
    """
    if found := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
        return _unrecognized(found[1].split(), list(options))
    if found := NO_OPTION.fullmatch(message.strip()):
        name = found[1] or f"{found[2]}.{found[3]}"
        if owner == "Module":  # anything that torch has would do
            return f"{name}: {NO_CLASS_YET}"
        known = sorted({option.partition(".")[0] for option in options} - {"help"}) if owner else list(options)
        guess = _guess(name, known)
        if owner:
            return f"{owner} takes no {name}{guess or f'. It takes {_listed(known)}'}"
        return f"no such option: {name}{guess}"
    if found := HELP.fullmatch(message.strip()):
        return f"{found[1]}: {_no_class(found[2])}"
    found = KEY.match(message)
    if found is None:
        return _one_line(message)
    of = f" of {owner}" if owner else ""
    return f"{found[1]}{of}: {_value(message[found.end() :])}"


def _unrecognized(words: list[str], options: list[str]) -> str:
    """Options that no verb has, with their values, and words that are none."""
    names = [word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")]
    if not names:
        return f"expected --OPTION VALUE, got {' '.join(words)}"
    return "; ".join(f"no such option: --{name}{_guess(name, options, '--')}" for name in names)


def _value(said: str) -> str:
    """What is wrong with the value of an option."""
    given = GIVEN.search(said)
    came = _one_line(given[1]) if given else ""
    said = said[: given.start()] if given else said
    if "is abstract" in said:
        return NO_CLASS_YET
    if re.fullmatch(r"(\w+\.)+\w+", came) and NO_ATTRIBUTE.search(said):
        return _no_class(came)
    if union := UNION.match(said):
        reasons = re.split(r"\n\s*- ", said[union.end() :])[1:]
        wanted = [_reason(UNION.sub("", reason.partition("Given value type:")[0])) for reason in reasons]
        wanted = [each for each in dict.fromkeys(wanted) if each]
        # A class that is not there says more than the types that the value has not, either.
        wanted = [each for each in wanted if each.startswith("no class")] or wanted
        text = " or ".join(each.removeprefix("expected ") if number else each for number, each in enumerate(wanted))
    else:
        text = _reason(said)
    return text if not came or text.startswith("no class") else f"{text}, got {came}"


def _reason(said: str) -> str:
    """One reason against a value."""
    if found := TYPE.search(said):
        return f"expected {_type(found)}"
    if "Expected a dot import path string: " in said:
        return _no_class(_one_line(said.partition("string: ")[2]))
    if found := NO_ATTRIBUTE.search(said):
        return _no_class(_one_line(found[0]).split("'")[3])
    if found := NOT_A.search(said):
        return f"{found[1]} is no {found[2]}"
    return _one_line(said)


def _type(found: re.Match[str]) -> str:
    if found[2] is not None:
        return f"one of {found[2]}" if "," in found[2] else found[2]
    return {"int": "a whole number", "float": "a number", "bool": "true or false", "NoneType": "null"}.get(
        found[1], found[1]
    )


def _no_class(name: str) -> str:
    """No class is called so; which one is."""
    paths = {path.rpartition(".")[2]: path for path in reversed(_public_classes())}  # of two the first
    close = difflib.get_close_matches(name.rpartition(".")[2], paths, n=1)
    return f"no class is called {name}{f'. Did you mean {paths[close[0]]}?' if close else ''}"


def _public_classes() -> list[str]:
    """Import paths of what can be named in a config."""
    modules = [importlib.import_module(name) for name in NAMED_IN_CONFIGS]
    return [
        f"{module.__name__}.{name}"
        for module in modules
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    ]


def _guess(name: str, options: Iterable[str], dashes: str = "") -> str:
    """`. Did you mean X?`, or nothing."""
    close = difflib.get_close_matches(name, list(options), n=1)
    if not close:  # the right name in the wrong place
        last = name.rpartition(".")[2]
        close = [option for option in options if option.rpartition(".")[2] == last][:1]
    return f". Did you mean {dashes}{close[0]}?" if close else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing"


def _one_line(text: str) -> str:
    return " ".join(text.split())
