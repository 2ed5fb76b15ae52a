"""`xnai size`: the memory a model needs, part by part, and whether it fits into this machine."""

from pathlib import Path
from typing import Any

from xnai_operator.cli.output import mebibytes
from xnai_operator.config import Config
from xnai_operator.host import node
from xnai_operator.memory.model import ModelHeader
from xnai_operator.memory.sizing import Load, Size, size
from xnai_operator.models import gguf


def read(model: str, models: Path) -> ModelHeader:
    """From a path, an http address, or a name in the models folder. Raises GgufError, OSError."""
    if model.startswith(("http://", "https://")):
        return gguf.read_url(model)
    path = Path(model)
    return gguf.read_file(path if path.exists() else models / model)


def report(config: Config, header: ModelHeader, load: Load) -> dict[str, Any]:
    """The parts and sums in bytes, and what fits."""
    needed = size(header, load)
    room = max(node.read().memory - config.reserve, 0)
    return {
        "architecture": header.architecture,
        "parts": [{"name": p.name, "bytes": p.size, "mapped": p.mapped} for p in needed.parts],
        "anonymousBytes": needed.anonymous,
        "mappedBytes": needed.mapped,
        "totalBytes": needed.total,
        "allocatableBytes": room,
        "fits": needed.total <= room,
        "longestContext": longest_context(header, load, room),
    }


def longest_context(header: ModelHeader, load: Load, room: int) -> int:
    """The longest context, in steps of 256 up to what the model was trained for, that fits into `room`; 0 when none."""
    trained = int(header.value("context_length", 0) or 131072)
    fitting = [c for c in range(256, trained + 1, 256) if _with(header, load, c).total <= room]
    return max(fitting, default=0)


def _with(header: ModelHeader, load: Load, context: int) -> Size:
    return size(header, Load(**{**load.__dict__, "context": context}))


def rows(told: dict[str, Any]) -> list[dict[str, Any]]:
    """For the table."""
    made = [
        {"part": part["name"], "size": mebibytes(part["bytes"]), "kind": "file" if part["mapped"] else "anonymous"}
        for part in told["parts"]
    ]
    total = {"part": "total", "size": mebibytes(told["totalBytes"]), "kind": ""}
    return [*made, total]
