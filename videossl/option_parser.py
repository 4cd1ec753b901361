"""Read a command line into typed options; what is wrong with it is said in one line."""

import ast
import json
import sys
from argparse import Action
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from videossl.complaints import readable
from videossl.errors import UsageError


class Help(DefaultHelpFormatter):
    """Lists the known classes of an option where they are a choice: not all modules of torch, which are hundreds."""

    def _get_help_string(self, action: Action) -> str:
        text, is_any_module, _ = super()._get_help_string(action).partition(", known subclasses: torch.nn.Module,")
        return f"{text})" if is_any_module else text


class Parser(ArgumentParser):
    """An argument parser whose complaints are one line."""

    command: ClassVar[str] = "videossl"  # of this process; jsonargparse makes parsers of nested options without a name
    owner: str | None = None  # the class whose options these are, in the parser of a nested option

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("prog", self.command)
        kwargs.setdefault("allow_abbrev", False)  # a mistyped option is refused, not guessed
        kwargs.setdefault("formatter_class", Help)
        super().__init__(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:  # noqa: ARG002 - jsonargparse's signature
        """Say what is wrong, where help is, and leave with exit code 2."""
        options = [option.removeprefix("--") for option in self._option_string_actions if option.startswith("--")]
        said = readable(message, options=options, owner=self.owner)
        print(f"{self.command}: {said} (see: {self.command} --help)", file=sys.stderr)
        raise SystemExit(2)

    def add_class_arguments(self, theclass: type, nested_key: str | None = None, *rest: Any, **options: Any) -> Any:
        """Take the options of a class; one without a key of its own is what this parser is of."""
        if nested_key is None:
            self.owner = theclass.__name__
        return super().add_class_arguments(theclass, nested_key, *rest, **options)

    def parse_args(  # type: ignore[override]  # as jsonargparse's own
        self, args: Sequence[str] | None = None, *rest: Any, **options: Any
    ) -> Namespace:
        """Parse a command line, or what jsonargparse hands to the parser of a nested option."""
        if args is not None and not self.exit_on_error:  # nested
            args = [_as_yaml(arg) for arg in args]
        return super().parse_args(args, *rest, **options)

    def build(self, args: list[str]) -> tuple[Namespace, Namespace]:
        """Parse a command line.

        Returns:
            The options as written, and with the objects made that they describe.

        Raises:
            UsageError: What the constructor of one of the objects says.
        """
        parsed = self.parse_args(args)
        parsed.pop("config", None)
        if (seed := parsed.get("seed")) is not None:
            import torch

            torch.manual_seed(seed)  # some objects draw weights when they are made
        try:
            return parsed, self.instantiate(parsed)
        except Exception as error:
            raise _said_by_us(error) from error


def _as_yaml(argument: str) -> str:
    """`--prior=None`, as jsonargparse writes a null that it has read, as `--prior=null`, which it reads again.

    It hands options on to the parser of a nested class as Python writes them, and null is no word of Python, nor within
    a mapping.
    """
    name, sign, text = argument.partition("=")
    try:
        value = ast.literal_eval(text)
        written = json.dumps(value, ensure_ascii=False)
    except (ValueError, SyntaxError, TypeError):  # no such words, or nothing that YAML has
        return argument
    return f"{name}{sign}{written}" if value is None or isinstance(value, dict | list) else argument


def _said_by_us(error: BaseException) -> BaseException:
    """The message of our own that jsonargparse has wrapped in others, or the error as it came."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UsageError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
