"""Podman's error messages in the words a user can act on. Pure."""

import re
from collections.abc import Sequence
from typing import Final

_ID: Final = r"[0-9a-f]{64}"
_STARTING: Final = re.compile(rf"^starting container {_ID}: ")
_CONSEQUENCE: Final = re.compile(rf"^(starting container {_ID}: )?a dependency of container {_ID} failed to start")
_WITH_ID: Final = re.compile(rf" ?(container |pod )?{_ID}")


def plain(errors: Sequence[str]) -> str:
    """The errors of one play as one message: without ids, which name nothing a user knows, and without the errors that
    only follow from another one (`a dependency of container … failed to start`, 5.4.2 and 5.8.6)."""
    causes = [error for error in errors if not _CONSEQUENCE.match(error)] or list(errors)
    return "; ".join(_WITH_ID.sub("", _STARTING.sub("", cause)).strip() for cause in causes)
