"""Rules of the code: 400 lines a module, 45 lines and 6 parameters a function; how tests share builders and name rows."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("operator", "hack", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
MODULE_LINES: Final = 400
FUNCTION_LINES: Final = 45
PARAMETERS: Final = 6
TYPER_OPTIONS: Final = ("operator/xnai_operator/cli/app.py", "size_command")
"""typer makes an option of each parameter; this command has eight."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> list[Function]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]


def lines(function: Function) -> int:
    """Without its decorators, as the tables of a test are."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: Function) -> int:
    """Without `self` and `cls`."""
    positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return len([*positional, *function.args.kwonlyargs]) - (positional[:1] in (["self"], ["cls"]))


def over(name: str, source: str) -> Iterator[str]:
    if (count := len(source.splitlines())) > MODULE_LINES:
        yield f"{name}: {count} lines"
    for function in functions(source):
        if (count := lines(function)) > FUNCTION_LINES:
            yield f"{name}: {function.name} has {count} lines"
        if (count := parameters(function)) > PARAMETERS and (name, function.name) != TYPER_OPTIONS:
            yield f"{name}: {function.name} has {count} parameters"


def imported_tests(source: str) -> list[str]:
    """The test modules that the source imports from."""
    modules = (node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return [module for module in modules if module.startswith("tests.") and ".test_" in module]


def rows_without_id(source: str) -> list[int]:
    """The lines of the rows of `parametrize` that neither have an id nor consist of constants."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    tables = [call for call in calls if ast.unparse(call.func) == "pytest.mark.parametrize" and not call.keywords]
    rows = [row for table in tables if isinstance(table.args[1], ast.List) for row in table.args[1].elts]
    return [row.lineno for row in rows if not plain(row)]


def plain(row: ast.expr) -> bool:
    """A row whose values are their own id."""
    if isinstance(row, ast.Call):
        return ast.unparse(row.func) == "pytest.param"
    values = row.elts if isinstance(row, ast.Tuple) else [row]
    return all(isinstance(value, ast.Constant | ast.Attribute | ast.Name | ast.BinOp) for value in values)


def test_the_limits_hold() -> None:
    assert [message for name, source in MODULES.items() for message in over(name, source)] == []


def test_no_test_module_is_imported() -> None:
    assert {name: found for name, source in MODULES.items() if (found := imported_tests(source))} == {}


def test_rows_have_ids() -> None:
    tests = {name: source for name, source in MODULES.items() if name.startswith("tests/unit/")}
    assert {name: found for name, source in tests.items() if (found := rows_without_id(source))} == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("\n" * 400, None, id="400 lines"),
        pytest.param("\n" * 401, "m: 401 lines", id="401 lines"),
        pytest.param("def f():" + "\n    x" * 44, None, id="a function of 45 lines"),
        pytest.param("async def f():" + "\n    x" * 45, "m: f has 46 lines", id="a function of 46 lines"),
        pytest.param("def f(a, b, /, c, d, *, e, f): ...", None, id="6 parameters"),
        pytest.param("def f(self, a, b, c, d, e, f): ...", None, id="self and 6 parameters"),
        pytest.param("def f(a, b, /, c, d, *, e, f, g): ...", "m: f has 7 parameters", id="7 parameters"),
    ],
)
def test_what_is_over_a_limit_is_named(source: str, message: str | None) -> None:
    assert list(over("m", source)) == ([message] if message else [])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("from tests.unit.plan.test_decide import facts", ["tests.unit.plan.test_decide"], id="a test"),
        pytest.param("from tests.unit.plan.states import facts", [], id="a builder"),
        pytest.param("from aiohttp.test_utils import TestServer", [], id="a library"),
    ],
)
def test_an_import_from_a_test_module_is_named(source: str, expected: list[str]) -> None:
    assert imported_tests(source) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param("('a', 1, None)", [], id="constants"),
        pytest.param("Step.HOLD", [], id="a word"),
        pytest.param("64 * MI", [], id="a size"),
        pytest.param("pytest.param({}, id='empty')", [], id="an id"),
        pytest.param("({'a': 1}, 2)", [1], id="a dictionary"),
        pytest.param("f(1)", [1], id="a call"),
    ],
)
def test_a_row_that_does_not_explain_itself_is_named(row: str, expected: list[int]) -> None:
    assert rows_without_id(f"pytest.mark.parametrize('a', [{row}])") == expected
