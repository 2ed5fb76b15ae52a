"""The directories of pods: what the helper is asked to make and to remove, and the pressure signal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.backends.podman.directories import Directories
from xnai_operator.backends.podman.helper.protocol import Operation
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import RenderedPod


class Helper:
    """Lists `paths` and keeps what else it is asked."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self.asked: list[tuple[str, Any]] = []

    async def call(self, operation: Operation[Any, Any], request: Any) -> Any:
        if operation.name == "list_directory":
            return {"paths": [path for path in self.paths if path.startswith(f"{request['path']}/")]}
        self.asked.append((operation.name, request))
        return {}


def directories(runtime_dir: Path | str, helper: Helper) -> Directories:
    client: Any = helper
    return Directories(str(runtime_dir), client)


@pytest.fixture
def pod(installation: Installation) -> RenderedPod:
    storage = {
        "tmpfs": [{"mountPath": "/cache", "size": "1Mi", "mode": "0700", "owner": 5, "group": 6, "exec": True}],
        "secrets": [{"name": "s", "mountPath": "/s"}],
    }
    service = make_service("a", storage=storage)
    return render(service, installation, {("Secret", "s"): {"password": b"\x00x"}})


async def test_the_helper_makes_what_was_rendered(pod: RenderedPod, tmp_path: Path) -> None:
    helper = Helper()
    await directories(tmp_path, helper).prepare(pod)
    ((name, request),) = helper.asked
    cache = next(
        t for t in request["tmpfs"] if t["path"] == next(t.source for t in pod.tmpfs if t.mount_path == "/cache")
    )
    assert {key: value for key, value in cache.items() if key != "path"} == {
        "size": 1 << 20, "mode": "0700", "uid": 5, "gid": 6, "exec": True,
    }  # fmt: skip
    (files,) = request["files"]
    assert (name, files["files"], files["secret"]) == ("prepare", {"password": "AHg="}, True)


async def test_the_signal_begins_at_none_and_every_user_can_read_it(pod: RenderedPod, tmp_path: Path) -> None:
    folder = tmp_path / "signals" / pod.name
    made = directories(tmp_path, Helper())
    await made.prepare(replace(pod, signal=str(folder)))
    assert (folder / "pressure").read_text() == "0\n"
    made.signal(pod.name, 5)
    assert (folder / "pressure").read_text() == "5\n"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "pressure")] == [0o755, 0o644]


def test_a_pod_without_a_signal_gets_none(tmp_path: Path) -> None:
    directories(tmp_path, Helper()).signal("default.a", 5)
    assert list(tmp_path.rglob("*")) == []


async def test_only_the_directories_of_the_pod_are_removed(tmp_path: Path) -> None:
    doomed = [f"{tmp_path}/tmpfs/default.a.cache", f"{tmp_path}/files/default.a.secret.x"]
    kept = [f"{tmp_path}/tmpfs/default.ab.cache", f"{tmp_path}/files/other.a.secret"]
    for name in ("default.a", "default.ab"):
        (tmp_path / "signals" / name).mkdir(parents=True)
    helper = Helper(*doomed, *kept)
    removed = await directories(tmp_path, helper).remove("default.a")
    assert removed == [f"{tmp_path}/signals/default.a", *doomed]
    assert helper.asked == [("remove", {"path": path}) for path in doomed]
    assert [path.name for path in (tmp_path / "signals").iterdir()] == ["default.ab"]


async def test_a_sweep_keeps_what_belongs_to_a_pod_whatever_its_name(tmp_path: Path) -> None:
    kept = [f"{tmp_path}/tmpfs/default.qwen2.5.cache", f"{tmp_path}/tmpfs/default.a.cache"]
    doomed = [f"{tmp_path}/tmpfs/default.gone.cache"]
    helper = Helper(*kept, *doomed)
    assert await directories(tmp_path, helper).sweep({"default.qwen2.5", "default.a"}) == doomed
