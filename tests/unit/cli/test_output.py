"""What is printed is data, never markup."""

import pytest
import typer

from xnai_operator.cli import output, up
from xnai_operator.cli.output import Format

TEXTS = [
    pytest.param("closed [/x] here", id="a closing tag"),
    pytest.param("regex [a-z]+ matches", id="a style that rich would swallow"),
    pytest.param(":smile: 10:30:00", id="an emoji code"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_cell_of_a_table_is_printed_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.show([{"message": text}], ("message",), Format.TABLE)
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_an_error_is_printed_as_it_is(
    text: str, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.err, "_force_terminal", terminal)
    monkeypatch.setattr(output.err, "no_color", True)
    with pytest.raises(typer.Exit):
        output.fail(text)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_progress_is_printed_as_it_is(
    text: str, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.err, "_force_terminal", terminal)
    with up.progress() as shown:
        shown.say("service", text, done=True)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("text", TEXTS)
def test_a_line_is_printed_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.out.print(text)
    assert text in capsys.readouterr().out
