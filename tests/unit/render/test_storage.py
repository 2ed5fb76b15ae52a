"""What is mounted, and what the back end makes for it."""

from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.api.contents import Contents
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.pod import PersistentVolume
from xnai_operator.render.storage import Mount, Storage, storage
from xnai_operator.render.variant import Variant
from xnai_operator.tmpfs.mounts import merged


def made(
    installation: Installation, contents: Contents | None = None, on_disk: frozenset[str] = frozenset(), **spec: Any
) -> Storage:
    service = make_service(**spec)
    variant = Variant(on_disk=on_disk)
    return storage(
        PodIntent(service=service, tmpfs=merged(service, ()), contents=contents or {}, variant=variant), installation
    )


def at(found: Storage, path: str) -> Mount:
    return next(mount for mount in found.mounts if mount.path.split(":")[0] == path)


def test_a_size_is_rounded_up_to_a_page(installation: Installation) -> None:
    found = made(installation, storage={"tmpfs": [{"mountPath": "/odd", "size": "5000"}]})
    assert next(tmpfs.size for tmpfs in found.tmpfs if tmpfs.mount_path == "/odd") == 8192


@pytest.mark.parametrize(
    ("declared", "owner"),
    [
        pytest.param({}, (5, 6), id="the container's user"),
        pytest.param({"owner": 7, "group": 8}, (7, 8), id="as declared"),
        pytest.param({"owner": 0, "group": 0}, (0, 0), id="root"),
    ],
)
def test_the_owner_of_a_tmpfs(declared: dict[str, int], owner: tuple[int, int], installation: Installation) -> None:
    spec: dict[str, Any] = {"security": {"runAsUser": 5, "runAsGroup": 6}}
    found = made(installation, storage={"tmpfs": [{"mountPath": "/c", "size": "1Mi", **declared}]}, **spec)
    assert next((tmpfs.uid, tmpfs.gid) for tmpfs in found.tmpfs if tmpfs.mount_path == "/c") == owner


def test_paths_that_differ_in_a_slash_have_directories_of_their_own(installation: Installation) -> None:
    tmpfs = [{"mountPath": path, "size": "1Mi"} for path in ("/a/b", "/a~1b", "/a~b")]
    found = made(installation, storage={"tmpfs": tmpfs})
    assert len({entry.source for entry in found.tmpfs}) == len(found.tmpfs)


@pytest.mark.parametrize(
    ("declared", "path", "volume"),
    [
        pytest.param({}, "/v:U", PersistentVolume("default.redis.v", owned=True), id="its own"),
        pytest.param(
            {"readOnly": True}, "/v", PersistentVolume("default.redis.v", owned=True), id="its own, read-only"
        ),
        pytest.param({"service": "b"}, "/v", PersistentVolume("default.b.v", owned=False), id="of another service"),
    ],
)
def test_only_the_owner_that_writes_gets_the_volume_given(
    declared: dict[str, Any], path: str, volume: PersistentVolume, installation: Installation
) -> None:
    found = made(installation, storage={"volumes": [{"name": "v", "mountPath": "/v", **declared}]})
    assert (at(found, "/v").path, found.volumes) == (path, (volume,))


@pytest.mark.parametrize(
    ("program", "options"),
    [pytest.param(False, "U,nosuid,nodev,noexec", id="data"), pytest.param(True, "U,nosuid,nodev", id="programs")],
)
def test_a_tmpfs_on_disk_is_a_volume_with_its_flags(program: bool, options: str, installation: Installation) -> None:
    declared = {"tmpfs": [{"mountPath": "/cache", "size": "1Mi", "exec": program}]}
    in_memory = next(t for t in made(installation, storage=declared).tmpfs if t.mount_path == "/cache")
    found = made(installation, on_disk=frozenset({"/cache"}), storage=declared)
    assert at(found, "/cache").path == f"/cache:{options}"
    assert "/cache" not in {tmpfs.mount_path for tmpfs in found.tmpfs}
    assert [volume.instead_of for volume in found.volumes] == [in_memory.source]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [pytest.param([], {"a": b"1", "b": b"2"}, id="all keys"), pytest.param(["b"], {"b": b"2"}, id="keys named")],
)
def test_files_are_those_named(keys: list[str], expected: dict[str, bytes], installation: Installation) -> None:
    declared = {"config": [{"name": "c", "mountPath": "/c", "keys": keys}]}
    found = made(installation, {("ConfigMap", "c"): {"a": b"1", "b": b"2"}}, storage=declared)
    assert (found.files[0].files, found.files[0].secret, at(found, "/c").read_only) == (expected, False, True)


def test_a_missing_secret_is_an_error(installation: Installation) -> None:
    with pytest.raises(KeyError):
        made(installation, storage={"secrets": [{"name": "s", "mountPath": "/s"}]})


def test_a_model_and_the_signal_are_mounted_read_only(installation: Installation) -> None:
    found = made(installation, inference={"model": {"file": "m.gguf"}})
    model, signal = at(found, "/models/m.gguf"), at(found, "/run/xnai")
    assert (model.source["hostPath"], model.read_only) == (
        {"path": f"{installation.models_dir}/m.gguf", "type": "File"}, True,
    )  # fmt: skip
    assert (signal.source["hostPath"]["path"], signal.read_only) == (found.signal, True)


def test_every_volume_of_the_document_has_one_mount(installation: Installation) -> None:
    found = made(installation, inference={"model": {"file": "m.gguf"}})
    names = [volume["name"] for volume in found.document_volumes()]
    assert names == [mount["name"] for mount in found.document_mounts()]
    assert len(set(names)) == len(found.mounts)
