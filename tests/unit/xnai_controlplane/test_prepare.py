"""Binaries, certificates and kubeconfigs are made by a process that ends."""

import asyncio
import fcntl
import json
from pathlib import Path

import pytest

from xnai_controlplane import ControlPlane, PrepareError, binaries

SECONDS = 20.0


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return ControlPlane(tmp_path / "state", tmp_path / "run")


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(0o755)
    return folder


async def test_all_of_it_is_there_afterwards(plane: ControlPlane, tmp_path: Path) -> None:
    cached = fill(binaries.cache_directory({"XDG_CACHE_HOME": str(tmp_path / "cache")}), *binaries.NAMES)
    assert await plane.prepare() == cached
    users = [
        json.loads(file.read_text())["users"][0]["name"]
        for file in (plane.kubeconfig, plane.operator_kubeconfig, plane.controller_manager_kubeconfig)
    ]
    assert (users, (plane.certificates / "ca.crt").exists()) == (["admin", "operator", "controller-manager"], True)


async def test_what_is_missing_is_said(plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(fill(tmp_path / "assets", *binaries.NAMES[:2])))
    with pytest.raises(PrepareError, match=f"has no {binaries.NAMES[2]}; add them or unset it"):
        await plane.prepare()


async def test_progress_is_passed_on_and_a_cancelled_preparation_ends(plane: ControlPlane, tmp_path: Path) -> None:
    folder = binaries.cache_directory({"XDG_CACHE_HOME": str(tmp_path / "cache")}).parent
    folder.mkdir(parents=True)
    said: asyncio.Queue[str] = asyncio.Queue()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another build does
        task = asyncio.create_task(plane.prepare(said.put_nowait))
        assert await asyncio.wait_for(said.get(), SECONDS) == "waiting for another build of the control plane"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, SECONDS)
