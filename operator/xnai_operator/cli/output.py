"""What the commands print: tables for people, JSON and YAML for scripts; and the exit codes."""

import json
import sys
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Not a terminal: no wrapping, so that a line stays a line for grep and awk.
# What is printed is data: `[x]` in a message is no markup of rich. A style is given by a Text.
out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False, markup=False, emoji=False, width=None if sys.stderr.isatty() else 240)


class Exit(IntEnum):
    """0 all is well; 1 something is not (not Ready, a change is planned, a check failed); 2 wrong usage or input;
    3 the control plane or Podman does not answer."""

    OK = 0
    CONDITION_FALSE = 1
    USAGE = 2
    UNAVAILABLE = 3


class Format(StrEnum):
    """-o."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def fail(message: str, code: Exit = Exit.CONDITION_FALSE) -> NoReturn:
    """Say what is wrong and end."""
    err.print(Text.assemble(("error:", "red" if err.is_terminal else ""), f" {message}"))
    raise typer.Exit(code)


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], how: Format) -> None:
    """Rows as a table of `columns`, or whole as JSON or YAML."""
    if how is Format.JSON:
        out.print_json(json.dumps(rows)) if out.is_terminal else print(json.dumps(rows, indent=2))  # noqa: T201
    elif how is Format.YAML:
        import yaml  # the help of a command needs none

        print(yaml.safe_dump(list(rows), sort_keys=False), end="")  # noqa: T201
    else:
        out.print(table(rows, columns))


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    """A table without lines, as kubectl prints it."""
    made = Table(box=None, pad_edge=False, header_style="bold" if out.is_terminal else "")
    for column in columns:
        made.add_column(column.upper().replace("_", " "), overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(row.get(column, ""))) for column in columns))
    return made


def mebibytes(value: int | None) -> str:
    """Bytes for people: `12 Mi`, `-` when unknown."""
    return "-" if value is None else f"{value / (1 << 20):.0f} Mi"
