"""`videossl <verb>`: one typed function per verb; its signature is the schema of options and configs."""

from videossl.cli.dispatch import main, verb_parser
from videossl.cli.world import world_parser

__all__ = ["main", "verb_parser", "world_parser"]
