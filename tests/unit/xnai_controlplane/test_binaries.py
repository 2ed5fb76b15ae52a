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
