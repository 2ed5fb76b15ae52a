"""ARCHITECTURE.md names places in the code: each of them exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
PLACES = sorted(set(re.findall(r"`((?:operator|tests|hack|manifests|crds)/[\w./-]*|\.\w+)(?::(\w+))?`", PAGE)))


def defined(path: Path) -> set[str]:
    """The names that a module defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


@pytest.mark.parametrize(("path", "name"), PLACES, ids=[f"{path}:{name}" for path, name in PLACES])
def test_every_place_named_exists(path: str, name: str) -> None:
    place = ROOT / path
    assert place.exists()
    assert not name or name in defined(place)


def test_fifteen_questions_are_answered() -> None:
    rows = PAGE.split("## Where is …?")[1].splitlines()
    answered = [row for row in rows if row.startswith("| ") and "?" in row.split("|")[1]]
    assert len(answered) >= 15
    assert all("`" in row.split("|")[2] for row in answered)
