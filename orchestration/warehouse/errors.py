"""The one kind of error that a user is shown, and how."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend; its text is one line: what, where, what to do."""


def one_line(main: Callable[[], int]) -> Callable[[], int]:
    """Wrap a command's main function: a UserError becomes one line on stderr and exit code 2."""

    @functools.wraps(main)
    def wrapped() -> int:
        try:
            return main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return wrapped
