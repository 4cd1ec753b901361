"""The two ways a command can end badly, and nothing else.

The command line prints either as one line without a traceback and leaves with its exit code. Libraries may
catch them; every message says what was wanted, what came, and what to do.
"""


class UsageError(ValueError):
    """Wrong use: a path, option or configuration that cannot work. Exit code 2."""

    exit_code = 2


class WorkError(RuntimeError):
    """Right use, failed work: an unreadable data set, a collapsed or diverged run. Exit code 1."""

    exit_code = 1
