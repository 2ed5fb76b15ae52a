"""The agent of the node: mounts, memory, probes and packet filters of running pods, by the helper."""

import re
from pathlib import Path
from typing import Final

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.base import Runtime
from xnai_operator.backends.podman.directories import Directories
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.backends.podman.networks import Networks
from xnai_operator.backends.podman.volumes import Volumes
from xnai_operator.errors import BackendError
from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.plan.observed import ObservedMount, ObservedPod, Usage
from xnai_operator.render.pod import RenderedPod

_OF_THE_RUNTIME: Final = re.compile(r"/(proc|sys|dev(?!/shm(/|$)))(/|$)")
"""Where the runtime mounts small tmpfs of its own."""


class PodmanNodeAgent:
    """`backends.base.NodeAgent` for the pods of `runtime`."""

    def __init__(
        self, runtime: Runtime, helper: HelperClient, volumes: Volumes, directories: Directories, networks: Networks
    ) -> None:
        self._runtime = runtime
        self._helper = helper
        self._volumes = volumes
        self._directories = directories
        self._networks = networks

    async def mounts(self, pod: ObservedPod) -> list[ObservedMount]:
        """See NodeAgent."""
        return [
            ObservedMount(
                mount_path=mount["path"],
                filesystem=mount["filesystem"],
                size=mount["size"],
                used=mount["used"],
                mode=mount["mode"],
                uid=mount["uid"],
                gid=mount["gid"],
                flags=frozenset(mount["flags"]),
                inodes=mount["inodes"],
                inodes_used=mount["inodes_used"],
            )
            for mount in await self._tmpfs(pod)
        ]

    async def _tmpfs(self, pod: ObservedPod) -> list[protocol.MountUse]:
        try:
            answer = await self._helper.call(protocol.CONTAINER_MOUNTS, protocol.ContainerMounts(pid=pod.pid))
        except BackendError as error:
            if runs(pod.pid):
                raise
            raise BackendError(Reason.POD_MISSING, f"the container of {pod.name} ended") from error
        return [mount for mount in answer["mounts"] if is_own_tmpfs(mount)]

    async def resize(self, pod: RenderedPod) -> None:
        """See NodeAgent."""
        for tmpfs in pod.tmpfs:
            await self._helper.call(protocol.RESIZE, protocol.Resize(path=tmpfs.source, size=tmpfs.size))

    async def signal_pressure(self, name: str, step: int) -> None:
        """See NodeAgent."""
        self._directories.signal(name, step)

    async def allow_ingress_from(self, pod: ObservedPod, clients: list[ObservedPod]) -> None:
        """See NodeAgent. netavark separates bridges, not the pods on one; a filter in the pod's own network does."""
        request = protocol.AllowIngress(pid=pod.network_pid, clients=[client.network_pid for client in clients])
        await self._helper.call(protocol.ALLOW_INGRESS, request)

    async def usage(self, pod: ObservedPod) -> Usage:
        """See NodeAgent."""
        memory = await self._helper.call(protocol.MEMORY, protocol.MemoryUse(pid=pod.pid))
        tmpfs = await self._tmpfs(pod)
        return Usage(
            memory=memory["pss"],
            tmpfs_used=sum(mount["used"] for mount in tmpfs),
            tmpfs_size=sum(mount["size"] for mount in tmpfs),
        )

    async def probe(self, pod: ObservedPod, request: ProbeRequest) -> ProbeResult:
        """See NodeAgent."""
        if request.command is not None:
            return await self._probe_by_exec(pod, request.command, request.timeout)
        port, path = request.http if request.http is not None else (request.tcp, None)
        assert port is not None
        payload = protocol.Probe(pid=pod.pid, port=port, path=path, seconds=request.timeout, reached=request.reached)
        answer = await self._helper.call(protocol.PROBE, payload, request.timeout)
        return ProbeResult(answer["success"], answer["message"])

    async def _probe_by_exec(self, pod: ObservedPod, command: tuple[str, ...], seconds: float) -> ProbeResult:
        result = await self._runtime.exec(pod, command, seconds)
        if result.exit_code is None:
            return ProbeResult(False, f"{command[0]} did not end in {seconds:g} s")
        return ProbeResult(result.exit_code == 0, f"{command[0]} ended with {result.exit_code}")

    async def sweep(self, keep: set[str]) -> list[str]:
        """See NodeAgent."""
        removed = await self._directories.sweep(keep)
        return [*removed, *await self._volumes.sweep(), *await self._networks.sweep(keep)]


def runs(pid: int) -> bool:
    """Whether a process runs: it is there and no zombie, which has no mounts (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_own_tmpfs(mount: protocol.MountUse) -> bool:
    """Whether a tmpfs is the container's own: writable, which files and secrets are not, whole, which a directory of
    one of the host's is not, and not the runtime's."""
    return mount["root"] == "/" and "ro" not in mount["flags"] and not _OF_THE_RUNTIME.match(mount["path"])
