"""Volumes: made when they may be, refused when another's are missing, on a disk with room only."""

import json
from typing import Any

import pytest

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.helper.protocol import Operation
from xnai_operator.backends.podman.volumes import Volumes
from xnai_operator.errors import BackendError
from xnai_operator.render.pod import PersistentVolume

OWN = PersistentVolume("default.a.data", owned=True)
OTHERS = PersistentVolume("default.b.data", owned=False)
ON_DISK = PersistentVolume("default.a.tmpfs-1", owned=True, instead_of="/run/tmpfs/a")


class Podman:
    """The volumes of a Podman; `in_use` are not deleted."""

    def __init__(self, *volumes: str, in_use: frozenset[str] = frozenset()) -> None:
        self.volumes = set(volumes)
        self.in_use = in_use
        self.labels: dict[str, dict[str, str]] = {}

    async def exists(self, kind: str, name: str) -> bool:
        return name in self.volumes

    async def status(self, method: str, path: str) -> int:
        name = path.rsplit("/", 1)[1]
        return 409 if name in self.in_use else 204

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        match method, path:
            case "GET", "/info":
                return {"store": {"volumePath": "/volumes"}}
            case "GET", "/volumes/json":
                return [{"Name": name} for name in sorted(self.volumes)]
            case "POST", "/volumes/create":
                body = json.loads(arguments["data"])
                self.volumes.add(body["Name"])
                self.labels[body["Name"]] = body["Labels"]
                return {"Mountpoint": f"/volumes/{body['Name']}/_data"}
            case "DELETE", _:
                self.volumes.discard(path.rsplit("/", 1)[1])
                return None
        raise AssertionError((method, path))


class Helper:
    """Answers with the room of a disk, and keeps what it is asked."""

    def __init__(self, used: int = 0, free: int = 0) -> None:
        self.room = {"used": used, "free": free}
        self.asked: list[tuple[str, Any]] = []

    async def call(self, operation: Operation[Any, Any], request: Any) -> Any:
        self.asked.append((operation.name, request))
        return self.room


def volumes(podman: Podman, helper: Helper | None = None) -> Volumes:
    transport: Any = podman
    client: Any = helper or Helper()
    return Volumes(transport, client, "one")


async def test_a_missing_volume_of_the_service_is_made_with_its_labels() -> None:
    podman = Podman()
    await volumes(podman).ensure(OWN, "uid-a")
    labels = {
        "app.kubernetes.io/managed-by": "xnai-operator",
        "xnai.dev/installation": "one",
        "xnai.dev/owner-uid": "uid-a",
    }
    assert podman.labels == {OWN.name: labels}


@pytest.mark.parametrize("volume", [OWN, OTHERS], ids=["its own", "another's"])
async def test_a_volume_that_is_there_is_left_alone(volume: PersistentVolume) -> None:
    podman = Podman(volume.name)
    await volumes(podman).ensure(volume, "uid-a")
    assert podman.labels == {}


async def test_a_missing_volume_of_another_service_is_refused() -> None:
    podman = Podman()
    with pytest.raises(BackendError) as refused:
        await volumes(podman).ensure(OTHERS, "uid-a")
    assert (refused.value.reason, podman.volumes) == (Reason.VOLUME_MISSING, set())


async def test_a_full_disk_is_refused_with_both_sums() -> None:
    helper = Helper(used=11, free=10)
    with pytest.raises(BackendError) as refused:
        await volumes(Podman(), helper).check_room([ON_DISK])
    message = "11 bytes of tmpfs do not fit on the disk: 10 are free below /volumes; `podman image prune`"
    assert (refused.value.reason, refused.value.message) == (Reason.DISK_FULL, message)
    assert helper.asked == [("room", {"sources": ["/run/tmpfs/a"], "target": "/volumes"})]


@pytest.mark.parametrize(
    ("checked", "asked"),
    [pytest.param([ON_DISK], 1, id="it fits"), pytest.param([], 0, id="nothing goes to the disk")],
)
async def test_a_disk_with_room_is_no_error(checked: list[PersistentVolume], asked: int) -> None:
    helper = Helper(used=10, free=10)
    await volumes(Podman(), helper).check_room(checked)
    assert len(helper.asked) == asked


async def test_a_volume_in_place_of_a_tmpfs_is_new_and_takes_its_content() -> None:
    podman, helper = Podman(ON_DISK.name), Helper()
    await volumes(podman, helper).replace_tmpfs(ON_DISK, "uid-a")
    labels = podman.labels[ON_DISK.name]
    assert (labels["xnai.dev/tmpfs-on-disk"], labels["xnai.dev/installation"]) == ("true", "one")
    assert helper.asked == [("copy", {"source": "/run/tmpfs/a", "target": f"/volumes/{ON_DISK.name}/_data"})]


async def test_a_sweep_removes_what_no_container_has() -> None:
    podman = Podman("left", "used", in_use=frozenset({"used"}))
    assert await volumes(podman).sweep() == ["left"]
