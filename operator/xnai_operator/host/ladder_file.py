"""The file with the step of the pressure ladder. The operator writes it; commands read it too."""

import json
from collections.abc import Callable
from pathlib import Path

from xnai_operator.memory.ladder import Ladder


def stored_ladder(file: Path, unreadable: Callable[[str], object] = lambda error: None) -> Ladder:
    """The stored ladder. Without a readable file it stands at NORMAL. Calls `unreadable` with the error of a file
    that exists and cannot be read."""
    try:
        return Ladder.from_json(json.loads(file.read_text()))
    except FileNotFoundError:
        return Ladder()
    except (OSError, ValueError, KeyError, TypeError) as error:
        unreadable(str(error))
        return Ladder()
