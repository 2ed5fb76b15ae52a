"""What Podman says of the machine, and what holds for its containers."""

import asyncio
from typing import Any, cast

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.api.conditions import Reason
from xnai_operator.api.host_ports import HostPort
from xnai_operator.backends.podman.observe import Observer, _infra, _init_container, held_ports, usable_controllers
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.errors import BackendError
from xnai_operator.memory.allocation import Allocation
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.render import names
from xnai_operator.render.installation import Installation
from xnai_operator.render.variant import AS_DECLARED, Variant


@pytest.mark.parametrize(
    ("rootless", "manager", "said", "delegated", "expected"),
    [
        # From a login Podman's service sees what its session has; its containers are elsewhere.
        pytest.param(
            True,
            "systemd",
            ["memory", "pids"],
            ("cpu", "memory", "pids"),
            {"cpu", "memory", "pids"},
            id="from a login, all delegated",
        ),
        pytest.param(
            True,
            "systemd",
            ["memory", "pids"],
            ("cpu", "pids"),
            {"cpu", "pids"},
            id="from a login, memory not delegated",
        ),
        pytest.param(True, "systemd", ["memory", "pids"], (), {"memory", "pids"}, id="from a login, nothing delegated"),
        pytest.param(True, "cgroupfs", ["pids"], ("cpu", "memory", "pids"), {"pids"}, id="cgroupfs"),
        pytest.param(False, "systemd", ["cpu", "memory"], (), {"cpu", "memory"}, id="as root"),
    ],
)
def test_the_controllers_of_containers(
    rootless: bool, manager: str, said: list[str], delegated: tuple[str, ...], expected: set[str]
) -> None:
    host = {"security": {"rootless": rootless}, "cgroupManager": manager, "cgroupControllers": said}
    assert usable_controllers(host, delegated) == expected


class ListsOnePod:
    """Podman with one pod, whose container has not been made yet."""

    def __init__(self, labels: dict[str, str]) -> None:
        info = {
            "version": {"Version": "5.4.2"},
            "host": {
                "security": {"rootless": True},
                "cgroupManager": "cgroupfs",
                "cgroupControllers": ["cpu", "memory"],
                "cgroupVersion": "v2",
            },
        }
        self._answers = {"/pods/json": [{"Name": "default.redis", "Id": "1", "Labels": labels}], "/info": info}

    async def call(self, method: str, path: str, **options: Any) -> Any:
        return self._answers.get(path)


def observed(labels: dict[str, str]) -> ObservedPod:
    observer = Observer(cast(Transport, ListsOnePod(labels)), "installation")
    return asyncio.run(observer.observe()).pods["default.redis"]


def test_a_pod_is_known_by_its_labels(installation: Installation) -> None:
    variant = Variant(reduced=True, on_disk=frozenset({"/tmp"}))
    wanted = render(make_service(), installation, variant=variant)
    found = observed(wanted.document["metadata"]["labels"])
    assert (found.uid, found.hash, found.sections, found.variant) == (
        "uid-redis", wanted.hash, wanted.sections, variant,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("label", "text"),
    [
        pytest.param(names.LABEL_SECTIONS, "[1]", id="sections of another form"),
        pytest.param(names.LABEL_SECTIONS, "{", id="sections cut off"),
        pytest.param(names.LABEL_VARIANT, "true", id="variant of another form"),
        pytest.param(names.LABEL_VARIANT, '{"onDisk":1}', id="variant with another field"),
        pytest.param(names.LABEL_ALLOCATION, "7", id="allocation of another form"),
        pytest.param(names.LABEL_ALLOCATION, "[1,2,3]", id="allocation with fewer fields"),
    ],
)
def test_a_label_of_another_version_is_as_if_it_were_missing(label: str, text: str) -> None:
    found = observed({label: text})
    assert (found.sections, found.variant, found.allocation) == ({}, AS_DECLARED, None)


def test_the_allocation_is_read() -> None:
    assert observed({names.LABEL_ALLOCATION: Allocation(5).to_text()}).allocation == Allocation(5)


class RemovesAContainer(ListsOnePod):
    """Podman whose list of containers fails `times` with `message`."""

    def __init__(self, times: int, message: str) -> None:
        super().__init__({})
        self.times = times
        self.message = message

    async def call(self, method: str, path: str, **options: Any) -> Any:
        if path == "/containers/json" and self.times:
            self.times -= 1
            raise BackendError(Reason.RUNTIME_REFUSED, self.message)
        return await super().call(method, path, **options)


async def test_a_list_that_fails_because_a_container_is_removed_is_made_again() -> None:
    podman = RemovesAContainer(1, "no container with ID 7 found in database: no such container")
    assert list((await Observer(cast(Transport, podman), "installation").observe()).pods) == ["default.redis"]


@pytest.mark.parametrize(
    ("times", "message"),
    [pytest.param(2, "no such container", id="again"), pytest.param(1, "database is locked", id="another failure")],
)
async def test_a_list_that_fails_is_an_error(times: int, message: str) -> None:
    podman = RemovesAContainer(times, message)
    with pytest.raises(BackendError, match=message):
        await Observer(cast(Transport, podman), "installation").observe()
    assert podman.times == 0


@pytest.mark.parametrize(
    ("infra", "expected"),
    [
        pytest.param(
            "running", {("127.0.0.1", 8000, "TCP"), ("127.0.0.1", 8001, "TCP"), ("::1", 53, "UDP")}, id="runs"
        ),
        pytest.param("exited", set(), id="ended"),
    ],
)
def test_a_pod_has_the_ports_of_its_infra_container(infra: str, expected: set[tuple[str, int, str]]) -> None:
    pod = {"InfraId": "i", "Containers": [{"Id": "i", "Status": infra}, {"Id": "c", "Status": "exited"}]}
    ports = [
        {"host_ip": "127.0.0.1", "container_port": 80, "host_port": 8000, "range": 2, "protocol": "tcp"},
        {"host_ip": "::1", "container_port": 53, "host_port": 53, "range": 1, "protocol": "udp"},
    ]
    assert held_ports(pod, {"Ports": ports}) == {HostPort(*port) for port in expected}


def test_a_pod_without_a_container_has_no_ports() -> None:
    assert held_ports({"InfraId": "i", "Containers": None}, {}) == frozenset()


LISTED = {"Id": "1", "Name": "default.redis", "InfraId": "i", "Containers": [{"Id": "i", "Status": "running"}]}


@pytest.mark.parametrize(
    ("container", "init"),
    [
        pytest.param({"Names": ["default.redis-initmigrate"], "State": "running"}, "migrate", id="it runs"),
        pytest.param({"Names": ["default.redis-initmigrate"], "State": "exited"}, "", id="it has ended"),
        pytest.param({"Names": ["default.redis-initmigrate"], "State": "created"}, "", id="it has not begun"),
        pytest.param({"Names": ["default.redis2-initmigrate"], "State": "running"}, "", id="another pod's"),
    ],
)
def test_the_init_container_that_runs_is_observed(container: dict[str, Any], init: str) -> None:
    assert _init_container("default.redis", [container]) == init


@pytest.mark.parametrize(
    ("pod", "infra"),
    [
        pytest.param(LISTED, {"Id": "i", "State": "running"}, id="it runs"),
        pytest.param({**LISTED, "Containers": [{"Id": "i", "Status": "exited"}]}, None, id="it has ended"),
        pytest.param({**LISTED, "InfraId": ""}, None, id="a pod without one"),
    ],
)
def test_the_container_that_has_the_network_is_found(pod: dict[str, Any], infra: dict[str, Any] | None) -> None:
    assert _infra(pod) == infra
