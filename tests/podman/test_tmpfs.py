"""tmpfs on real Podman: the size, the owner and the flags hold, at the first start and after every other."""

import asyncio
import subprocess
import time
from typing import Any

import pytest

from tests.podman.conftest import USER_NAMESPACES, inside, rendered, started
from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.errors import BackendError
from xnai_operator.plan.mount_check import differences
from xnai_operator.render import names
from xnai_operator.render.installation import Installation

MOUNTS = [
    {"mountPath": "/tmp", "size": "2Mi"},
    {"mountPath": "/run", "size": "1Mi", "mode": "0755"},
    {"mountPath": "/app/.cache", "size": "4Mi", "mode": "0700"},
]
OTHERS = {"mountPath": "/others", "size": "1Mi", "mode": "0750", "owner": 65532, "group": 999}
RESTARTS = ["pod restart {0}", "restart --time=0 {0}-main", "pod stop --time=0 {0}; pod start {0}"]


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_every_mount_is_as_wanted_in_the_running_container_after_every_start(
    namespace: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    wanted: dict[str, Any] = {"storage": {"tmpfs": [*MOUNTS, OTHERS]}, "security": {"userNamespace": namespace}}
    pod = rendered("mounts", installation, **wanted)
    found = await started(podman_backend, pod)
    assert differences(pod.tmpfs, await podman_backend.node_agent.mounts(found)) == []
    for commands in RESTARTS:
        for command in commands.format(pod.name).split("; "):
            done = subprocess.run(["podman", *command.split()], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
        deadline = time.monotonic() + 20
        while not (found := (await podman_backend.runtime.observe()).pods[pod.name]).running:
            assert time.monotonic() < deadline, commands
            await asyncio.sleep(0.1)
        assert differences(pod.tmpfs, await podman_backend.node_agent.mounts(found)) == [], commands
    found = await started(podman_backend, rendered("mounts", installation, env=[{"name": "A", "value": "1"}], **wanted))
    assert differences(pod.tmpfs, await podman_backend.node_agent.mounts(found)) == []


async def test_a_write_past_the_size_is_refused(podman_backend: PodmanBackend, installation: Installation) -> None:
    pod = rendered("full", installation, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    write = inside(pod.name, "dd", "if=/dev/zero", "of=/tmp/big", "bs=1M", "count=8")
    assert (write.returncode, "No space left" in write.stderr) == (1, True)


async def test_files_without_content_are_bounded_too(podman_backend: PodmanBackend, installation: Installation) -> None:
    pods = {
        size: rendered("inodes", installation, storage={"tmpfs": [{"mountPath": "/cache", "size": size}]})
        for size in ("1Mi", "2Mi", "4Mi")
    }
    found = await started(podman_backend, pods["2Mi"])
    fill = "cd /cache; i=0; while [ $i -lt 1600 ]; do : >f$i || exit 1; i=$((i + 1)); done"

    async def inodes(size: str) -> list[int]:
        return [m.inodes for m in await podman_backend.node_agent.mounts(found) if m.mount_path == "/cache"]

    assert (inside("test.inodes", "sh", "-c", fill).returncode, await inodes("2Mi")) == (1, [1536])
    await podman_backend.node_agent.resize(pods["4Mi"])
    assert (inside("test.inodes", "sh", "-c", fill).returncode, await inodes("4Mi")) == (0, [2048])
    await podman_backend.node_agent.resize(pods["1Mi"])  # fewer than there are is no fault
    assert await inodes("1Mi") == [1601]


async def test_a_program_on_a_noexec_mount_does_not_run(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = rendered("noexec", installation, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    run = inside(pod.name, "sh", "-c", "cp /bin/busybox /app/.cache/b && chmod 755 /app/.cache/b && /app/.cache/b true")
    assert (run.returncode, "Permission denied" in run.stderr) == (126, True)


async def test_the_next_start_finds_the_mount_empty(podman_backend: PodmanBackend, installation: Installation) -> None:
    pod = rendered("empty", installation, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    assert inside(pod.name, "sh", "-c", "echo x >/tmp/left").returncode == 0
    await started(podman_backend, pod)
    assert inside(pod.name, "ls", "/tmp").stdout == ""


async def test_a_changed_size_holds_at_the_next_start(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    for size in ("2Mi", "3Mi"):
        pod = rendered("resized", installation, storage={"tmpfs": [{"mountPath": "/tmp", "size": size}]})
        found = await started(podman_backend, pod)
    (mount,) = [m for m in await podman_backend.node_agent.mounts(found) if m.mount_path == "/tmp"]
    assert mount.size == 3 << 20


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_nothing_writable_in_memory_is_without_a_limit(
    namespace: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = rendered("bounded", installation, security={"userNamespace": namespace})
    await started(podman_backend, pod)
    script = "df -m | while read dev size rest; do set -- $rest; [ -d $4 ] && [ -w $4 ] && echo $4 $size; done"
    lines = inside(pod.name, "sh", "-c", script).stdout.splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines}
    assert {"/tmp", "/run", "/var/tmp", "/dev/shm"} <= set(sizes)
    assert max(sizes.values()) <= 16, sizes


async def test_a_size_is_changed_while_the_pod_runs(podman_backend: PodmanBackend, installation: Installation) -> None:
    pods = [
        rendered("live", installation, storage={"tmpfs": [{"mountPath": "/cache", "size": size}]})
        for size in ("2Mi", "5Mi")
    ]
    found = await started(podman_backend, pods[0])
    assert inside("test.live", "sh", "-c", "echo kept >/cache/file").returncode == 0
    await podman_backend.node_agent.resize(pods[1])
    assert differences(pods[1].tmpfs, await podman_backend.node_agent.mounts(found)) == []
    assert inside("test.live", "cat", "/cache/file").stdout == "kept\n"
    assert inside("test.live", "dd", "if=/dev/zero", "of=/cache/big", "bs=1M", "count=4").returncode == 0
    with pytest.raises(BackendError):
        await podman_backend.node_agent.resize(pods[0])
    assert differences(pods[1].tmpfs, await podman_backend.node_agent.mounts(found)) == []


async def test_a_full_tmpfs_is_seen_and_the_neighbour_has_its_own(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    storage = {"tmpfs": [{"mountPath": "/cache", "size": "2Mi"}]}
    found = {}
    for name in ("full", "neighbour"):
        pod = rendered(name, installation, storage=storage)
        found[name] = await started(podman_backend, pod)
    assert inside("test.full", "dd", "if=/dev/zero", "of=/cache/big", "bs=1M", "count=4").returncode == 1
    used = {
        name: next(m for m in await podman_backend.node_agent.mounts(each) if m.mount_path == "/cache").used
        for name, each in found.items()
    }
    assert used == {"full": 2 << 20, "neighbour": 0}
    assert inside("test.neighbour", "ls", "/cache").stdout == ""


async def test_a_mount_that_fell_back_is_a_volume_its_user_can_write(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    storage = {"tmpfs": [{"mountPath": "/app/.cache", "size": "1Mi"}]}
    pod = rendered("disk", installation, on_disk=frozenset({"/app/.cache"}), storage=storage)
    found = await started(podman_backend, pod)
    assert found.variant == pod.variant
    assert inside(pod.name, "dd", "if=/dev/zero", "of=/app/.cache/big", "bs=1M", "count=4").returncode == 0
    assert "/app/.cache" not in {mount.mount_path for mount in await podman_backend.node_agent.mounts(found)}


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_what_is_in_a_tmpfs_goes_to_disk_with_it(
    namespace: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    spec: dict[str, Any] = {
        "storage": {"tmpfs": [{"mountPath": "/cache", "size": "2Mi", "mode": "0700"}]},
        "security": {"userNamespace": namespace},
    }
    in_memory = rendered("moved", installation, **spec)
    on_disk = rendered("moved", installation, on_disk=frozenset({"/cache"}), **spec)
    await started(podman_backend, in_memory)
    script = "mkdir /cache/d && echo kept >/cache/d/file && ln -s d/file /cache/link && chmod 600 /cache/d/file"
    assert inside("test.moved", "sh", "-c", script).returncode == 0
    await started(podman_backend, on_disk)
    assert inside("test.moved", "sh", "-c", "cat /cache/link; echo more >>/cache/link").stdout == "kept\n"
    assert inside("test.moved", "ls", "-ln", "/cache/d/file").stdout.split()[:4:2] == ["-rw-------", "1001"]
    await started(podman_backend, on_disk)  # what ended with its pod does not come back
    assert inside("test.moved", "ls", "/cache").stdout == ""


async def test_a_volume_that_stood_for_a_tmpfs_goes_when_nobody_has_it(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    storage = {
        "tmpfs": [{"mountPath": "/cache", "size": "2Mi"}],
        "volumes": [{"name": "data", "mountPath": "/data"}, {"name": "tmpfs-cache", "mountPath": "/other"}],
    }
    kept = {"test.scratch.data", "test.scratch.tmpfs-cache"}
    stands = names.scratch("test", "scratch", "/cache")
    for on_disk, expected in ((frozenset({"/cache"}), kept | {stands}), (frozenset[str](), kept)):
        pod = rendered("scratch", installation, on_disk=on_disk, storage=storage)
        await started(podman_backend, pod)
        await podman_backend.node_agent.sweep({pod.name})
        volumes = (await podman_backend.runtime.observe()).volumes
        assert {name for name in volumes if name.startswith("test.scratch.")} == expected


async def test_a_disk_without_room_takes_no_running_pod_down(
    podman_backend: PodmanBackend, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = {"tmpfs": [{"mountPath": "/cache", "size": "2Mi"}]}
    before = await started(podman_backend, rendered("noroom", installation, storage=storage))
    call = podman_backend.helper.call

    async def full(operation: protocol.Operation[Any, Any], request: Any) -> Any:
        answer = await call(operation, request)
        return {**answer, "used": answer["free"] + 1} if operation is protocol.ROOM else answer

    monkeypatch.setattr(podman_backend.helper, "call", full)
    with pytest.raises(BackendError, match="do not fit on the disk") as refused:
        await podman_backend.runtime.start(
            rendered("noroom", installation, on_disk=frozenset({"/cache"}), storage=storage)
        )
    assert refused.value.reason is Reason.DISK_FULL
    assert (await podman_backend.runtime.observe()).pods["test.noroom"] == before


WRITES = {"name": "fill", "command": ["sh", "-c", "echo ready > /cache/state; id -u >> /cache/state"]}
CACHE = {"tmpfs": [{"mountPath": "/cache", "size": "1Mi", "mode": "0700"}]}


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_what_an_init_container_writes_is_there_for_the_service(
    namespace: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    own: dict[str, Any] = {"security": {"userNamespace": namespace}}
    pod = rendered("prepared", installation, initContainers=[WRITES], storage=CACHE, **own)
    for _ in range(2):  # at every start
        await started(podman_backend, pod)
        assert inside("test.prepared", "cat", "/cache/state").stdout == "ready\n1001\n"


async def test_an_init_container_that_fails_leaves_nothing_behind(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = rendered("unprepared", installation, initContainers=[{**WRITES, "command": ["sh", "-c", "exit 3"]}])
    with pytest.raises(BackendError, match=r"init container \w+ exited with 3"):
        await podman_backend.runtime.start(pod)
    assert pod.name not in (await podman_backend.runtime.observe()).pods


@pytest.mark.parametrize("programs", [False, True])
async def test_a_mount_that_is_on_disk_keeps_its_flags_and_owner(
    programs: bool, podman_backend: PodmanBackend, installation: Installation
) -> None:
    storage = {"tmpfs": [{"mountPath": "/cache", "size": "1Mi", "exec": programs}]}
    pod = rendered("fallen", installation, storage=storage, on_disk=frozenset({"/cache"}))
    await started(podman_backend, pod)
    flags = inside(pod.name, "sh", "-c", "grep ' /cache ' /proc/mounts").stdout.split()[3].split(",")
    assert {"nosuid", "nodev", "noexec"} & set(flags) == {"nosuid", "nodev"} | (set() if programs else {"noexec"})
    assert inside(pod.name, "sh", "-c", "echo x > /cache/x").returncode == 0
