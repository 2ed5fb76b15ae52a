"""Where the servers come from."""

from pathlib import Path

import pytest

from xnai_controlplane import binaries
from xnai_controlplane.binaries import NAMES, BinariesError


def fill(directory: Path, names: tuple[str, ...] = NAMES) -> Path:
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).write_text("")
        (directory / name).chmod(0o755)
    return directory


def test_assets_come_before_the_cache(tmp_path: Path) -> None:
    assets = fill(tmp_path / "assets")
    environ = {"KUBEBUILDER_ASSETS": str(assets), "XDG_CACHE_HOME": str(tmp_path)}
    fill(binaries.cache_directory(environ))
    assert binaries.find(environ) == assets


def test_the_cache_is_used(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    assert (binaries.find(environ), fill(binaries.cache_directory(environ)), binaries.find(environ)) == (
        None, tmp_path / "xnai/kube" / binaries.VERSION, tmp_path / "xnai/kube" / binaries.VERSION,
    )  # fmt: skip


def test_an_incomplete_cache_is_none(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    fill(binaries.cache_directory(environ), NAMES[:2])
    assert binaries.find(environ) is None


def test_assets_that_lack_one_are_an_error_that_names_it(tmp_path: Path) -> None:
    assets = fill(tmp_path / "assets", NAMES[:2])
    with pytest.raises(BinariesError, match=NAMES[2]):
        binaries.find({"KUBEBUILDER_ASSETS": str(assets)})


def compiler(tmp_path: Path, *, code: int) -> list[str]:
    """A program that names four packages as `go install -v` does, and ends with `code`."""
    script = tmp_path / "go"
    script.write_text(f"#!/bin/sh\nfor name in a b c d; do echo example.org/$name >&2; done\nexit {code}\n")
    script.chmod(0o755)
    return [str(script)]


def test_a_build_says_how_many_packages_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "REPORT_SECONDS", 0.0)
    said: list[str] = []
    binaries._compile(compiler(tmp_path, code=0), {}, tmp_path, 5, said.append)
    assert [text.split(",")[0] for text in said] == [
        "compiled 1 of 5 packages (20 %)",
        "compiled 2 of 5 packages (40 %)",
        "compiled 3 of 5 packages (60 %)",
        "compiled 4 of 5 packages (80 %)",
    ]


def test_a_failed_build_ends_with_what_the_compiler_said_last(tmp_path: Path) -> None:
    with pytest.raises(BinariesError, match=r"(?s)ended with 2.*example\.org/d"):
        binaries._compile(compiler(tmp_path, code=2), {}, tmp_path, 5, lambda _: None)
