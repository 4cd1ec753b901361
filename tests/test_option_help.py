"""What `--help` says of the options of classes that a config can name: none is without a word."""

import importlib
import inspect

import pytest
from docstring_parser import parse

from videossl.complaints import NAMED_IN_CONFIGS

NOT_NAMED = {"VideoError", "Pretrained"}  # raised, and returned
CLASSES = [
    getattr(package, name)
    for package in map(importlib.import_module, NAMED_IN_CONFIGS)
    for name in package.__all__
    if inspect.isclass(getattr(package, name)) and name not in NOT_NAMED
]


def options(cls):
    try:
        return set(inspect.signature(cls).parameters) - {"args", "kwargs"}
    except ValueError:  # what Python has not written
        return set()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_option_has_a_text(cls):
    docstrings = [text for base in cls.__mro__ for text in (base.__doc__, base.__init__.__doc__) if text]
    told = {option.arg_name for text in docstrings for option in parse(text).params}
    assert options(cls) <= told
