"""`xnai size`: the memory a model needs, part by part, and whether it fits into this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from xnai_operator.cli.output import Exit, Format, fail, mebibytes, out, show
from xnai_operator.config import Config
from xnai_operator.host import node
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.model_size import ModelOptions, Size, cache_type_fault, size
from xnai_operator.models import gguf
from xnai_operator.models.dry_run import DryRunError, dry_run
from xnai_operator.models.gguf import GgufError


def run(model: str, load: ModelOptions, ask_llama: bool, output: Format) -> None:
    """Print the parts and whether they fit; exit code 1 when they do not. `ask_llama`: do a dry run too."""
    config = Config.read()
    try:
        header = read(model, config.models)
        if fault := cache_type_fault(header, load.kv_type):
            fail(f"{model}: {fault}", Exit.USAGE)
        told = report(config, header, load, exact(model, config.models, load) if ask_llama else {})
    except DryRunError as error:
        fail(f"{model}: {error}")
    except GgufError as error:
        fail(f"{model}: {error}", Exit.USAGE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a file, an address, or a file in {config.models}", Exit.USAGE)
    if output is not Format.TABLE:
        show([told], (), output)
    else:
        show(rows(told), ("part", "size", "kind", *(["dry_run"] * ask_llama)), output)
        room = f"{told['allocatableBytes'] >> 20} Mi are for services"
        verdict = "fits" if told["fits"] else "does not fit"
        out.print(f"\n{verdict}: {room}; the longest context that fits is {told['longestContext']}")
    if not told["fits"]:
        raise typer.Exit(Exit.CONDITION_FALSE)


def read(model: str, models: Path) -> ModelHeader:
    """From a path, an http address, or a name in the models folder. Raises GgufError, OSError."""
    if model.startswith(("http://", "https://")):
        return gguf.read_url(model)
    path = Path(model)
    return gguf.read_file(path if path.exists() else models / model)


def exact(model: str, models: Path, load: ModelOptions) -> dict[str, int]:
    """What llama.cpp reserves, by part. Raises DryRunError."""
    path = Path(model) if Path(model).exists() else models / model
    if not path.exists():
        raise DryRunError(f"{model} is not on this machine, and a dry run needs the file")
    return dry_run(path, load)


def report(config: Config, header: ModelHeader, load: ModelOptions, reserved: Mapping[str, int]) -> dict[str, Any]:
    """The parts and sums in bytes, and what fits. `reserved`: of a dry run, by part."""
    needed = size(header, load)
    room = max(node.read().memory - config.reserve, 0)
    return {
        "architecture": header.architecture,
        "parts": [
            {"name": p.name, "bytes": p.size, "mapped": p.mapped}
            | ({"dryRunBytes": reserved[p.name]} if p.name in reserved else {})
            for p in needed.parts
        ],
        "anonymousBytes": needed.anonymous,
        "mappedBytes": needed.mapped,
        "totalBytes": needed.total,
        "allocatableBytes": room,
        "fits": needed.total <= room,
        "longestContext": longest_context(header, load, room),
    }


def longest_context(header: ModelHeader, load: ModelOptions, room: int) -> int:
    """The longest context, in steps of 256 up to what the model was trained for, that fits into `room`; 0 when none."""
    trained = int(header.value("context_length", 0) or 131072)
    fitting = [c for c in range(256, trained + 1, 256) if _with(header, load, c).total <= room]
    return max(fitting, default=0)


def _with(header: ModelHeader, load: ModelOptions, context: int) -> Size:
    return size(header, ModelOptions(**{**load.__dict__, "context": context}))


def rows(told: dict[str, Any]) -> list[dict[str, Any]]:
    """For the table."""
    made = [
        {
            "part": part["name"],
            "size": mebibytes(part["bytes"]),
            "kind": "file" if part["mapped"] else "anonymous",
            "dry_run": mebibytes(part.get("dryRunBytes")),
        }
        for part in told["parts"]
    ]
    total = {"part": "total", "size": mebibytes(told["totalBytes"]), "kind": "", "dry_run": ""}
    return [*made, total]
