"""Where the operator keeps how far the pressure ladder went; commands read it too."""

import json
from collections.abc import Callable
from pathlib import Path

from xnai_operator.memory.ladder import Ladder


def stored_ladder(file: Path, unreadable: Callable[[str], object] = lambda error: None) -> Ladder:
    """Where the ladder stands; at its foot when nothing is stored, or nothing that can be read: then `unreadable` is
    called with the error."""
    try:
        return Ladder.from_json(json.loads(file.read_text()))
    except FileNotFoundError:
        return Ladder()
    except (OSError, ValueError, KeyError, TypeError) as error:
        unreadable(str(error))
        return Ladder()
