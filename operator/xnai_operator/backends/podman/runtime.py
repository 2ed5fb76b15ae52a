"""The runtime: start and stop pods, observe them, read their output, run commands in them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from xnai_operator.api import images
from xnai_operator.api.conditions import Reason
from xnai_operator.backends.base import ExecResult, nothing
from xnai_operator.backends.podman.directories import Directories
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.backends.podman.id_ranges import IdRanges
from xnai_operator.backends.podman.messages import plain
from xnai_operator.backends.podman.observe import Observer
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.backends.podman.volumes import Volumes
from xnai_operator.errors import BackendError
from xnai_operator.plan.observed import Observed, ObservedPod
from xnai_operator.render import names
from xnai_operator.render.pod import NetworkAttachment, RenderedPod

PLAYS: Final = 4
"""Plays at a time: 8 pods took 0.8 s so, 1.5 s one after another (5.4.2 rootless)."""
PLAY_SECONDS: Final = 60.0
"""The timeout of a play."""
INIT_TICK_SECONDS: Final = 0.2
"""How often a start looks whether an init container has ended."""
EXEC_TICK_SECONDS: Final = 0.1
"""How often the end of a command that has had its time is tried."""
EXEC_END_SECONDS: Final = 10.0
"""The time for the end of a command that has had its time."""
EXEC_OUTPUT_BYTES: Final = 1 << 16
"""The output of a command is cut there."""
LOG_TRIES: Final = 10
HALF_A_LINE: Final = "is not a valid container log line"
"""Podman's words (5.4.2) when it reads the last line of a log while conmon writes it."""
STOP_TICK_SECONDS: Final = 0.1
"""How often a stop looks whether the container has followed its stop signal."""

_ESCAPED: Final = re.compile("[\x7f-\uffff]")


class PodmanRuntime:
    """`backends.base.Runtime` for the pods of one installation."""

    def __init__(
        self,
        transport: Transport,
        helper: HelperClient,
        volumes: Volumes,
        directories: Directories,
        installation: str,
    ) -> None:
        self._transport = transport
        self._helper = helper
        self._volumes = volumes
        self._directories = directories
        self._installation = installation
        self._observer = Observer(transport, installation)
        self._id_ranges = IdRanges(transport, helper)
        self._playing = asyncio.Semaphore(PLAYS)

    async def observe(self) -> Observed:
        """See Runtime."""
        return await self._observer.observe()

    async def start(self, pod: RenderedPod, connected: Callable[[], Awaitable[None]] = nothing) -> None:
        """See Runtime. What Podman would refuse is checked before the old pod is removed."""
        replaces = await self._replaces(pod.name)
        on_disk = [volume for volume in pod.volumes if volume.instead_of is not None]
        pod = await self._id_ranges.place(pod)
        checks = [
            self._ensure_network(pod.network),
            *(self._check_image(image) for image in {pod.image, *pod.init_images}),
            *(self._volumes.ensure(volume, pod.uid) for volume in pod.volumes if volume.instead_of is None),
        ]
        if replaces:
            await asyncio.gather(*checks, self._volumes.check_room(on_disk))
            await self._end(pod.name, int(pod.document["spec"]["terminationGracePeriodSeconds"]))
            checks = []
        try:
            await asyncio.gather(*(self._volumes.replace_tmpfs(volume, pod.uid) for volume in on_disk))
            if replaces:
                await self._directories.remove(pod.name)
            # Without an older pod the checks and the preparation run side by side. All of them end before a clean-up.
            done = await asyncio.gather(self._directories.prepare(pod), *checks, return_exceptions=True)
            for error in done:
                if isinstance(error, BaseException):
                    raise error
            async with self._playing:
                await self._play(pod)
                await self._start_network(pod.name)
            await connected()
            for container in pod.document["spec"].get("initContainers", []):
                await self._run_init(pod.name, container["name"].removeprefix(names.INIT))
            await self._start_container(f"{pod.name}-{names.CONTAINER}")
            if pod.cpus:
                await self._bind_cpus(pod)
        except BackendError:
            await self.stop(pod.name, 0)
            raise

    async def _check_image(self, image: str) -> None:
        if not await self._transport.exists("images", image):
            raise BackendError(Reason.IMAGE_MISSING, images.missing(image))

    async def _replaces(self, name: str) -> bool:
        """Whether a pod of ours has the name. Raises BackendError when somebody else's has."""
        pod = await self._transport.call("GET", f"/pods/{name}/json", ok=(404,))
        if pod is not None and (pod.get("Labels") or {}).get(names.LABEL_INSTALLATION) != self._installation:
            raise BackendError(
                Reason.START_FAILED, f"a pod {name} that is not this operator's is in the way; `podman pod rm {name}`"
            )
        return pod is not None

    async def _ensure_network(self, network: NetworkAttachment) -> None:
        if network.name is None or await self._transport.exists("networks", network.name):
            return
        body = {
            "name": network.name,
            "driver": "bridge",
            "dns_enabled": True,
            "options": {"mtu": str(network.mtu)},
            "labels": {names.LABEL_MANAGED: names.MANAGER, names.LABEL_INSTALLATION: self._installation},
        }
        await self._transport.call("POST", "/networks/create", ok=(409,), data=json.dumps(body))

    async def _play(self, pod: RenderedPod) -> None:
        """Create the pod. Nothing of it is started: Podman would hold the pod's lock until the init containers have
        ended, and every list of pods would wait for it."""
        network = pod.network
        if network.name is None:
            mode = f"pasta:--mtu,{network.mtu}"
        else:
            mode = f"{network.name}:" + ",".join(f"alias={alias}" for alias in network.aliases)
        report = await self._transport.call(
            "POST",
            "/kube/play",
            reason=Reason.START_FAILED,
            params={"network": mode, "start": "false"},
            data=kube_json(pod.document),
            headers={"Content-Type": "application/yaml"},
            timeout=PLAY_SECONDS,
        )
        # Podman tells of a container that failed in an answer of status 200.
        errors = [error for played in report["Pods"] or [] for error in played.get("ContainerErrors") or []]
        if errors:
            raise BackendError(Reason.START_FAILED, plain(errors))

    async def _start_network(self, name: str) -> None:
        """Start the container that has the pod's network and nothing else, so that there is a network to filter."""
        pod = await self._transport.call("GET", f"/pods/{name}/json")
        await self._start_container(pod["InfraContainerID"])

    async def _run_init(self, pod: str, init: str) -> None:
        """Run an init container to its end, however long it takes. Raises BackendError when it fails."""
        container = f"{pod}-{names.INIT}{init}"
        try:
            await self._start_container(container)
        except BackendError as error:
            raise BackendError(error.reason, f"init container {init}: {error.message}") from error
        inspected = await self._inspect(container)
        while inspected is not None and is_active(inspected):
            await asyncio.sleep(INIT_TICK_SECONDS)
            inspected = await self._inspect(container)
        if inspected is None:
            raise BackendError(Reason.START_FAILED, f"init container {init} was removed while it ran")
        state = inspected["State"]
        if state["ExitCode"] != 0 or state.get("OOMKilled"):
            last = (await self.logs(pod, 1, init)).strip()
            cause = "was killed for want of memory" if state.get("OOMKilled") else f"exited with {state['ExitCode']}"
            raise BackendError(Reason.START_FAILED, f"init container {init} {cause}" + (f": {last}" if last else ""))

    async def _start_container(self, container: str) -> None:
        try:
            await self._transport.call("POST", f"/containers/{container}/start", reason=Reason.START_FAILED)
        except BackendError as error:
            raise BackendError(error.reason, plain([error.message])) from error

    async def _bind_cpus(self, pod: RenderedPod) -> None:
        """kube YAML has no CPU set, and the cpuset controller is delegated to few users: affinity needs neither."""
        container = await self._inspect(names.container(pod.namespace, pod.service))
        if container is not None and container["State"]["Pid"]:
            request = protocol.BindCpus(pid=container["State"]["Pid"], cpus=sorted(pod.cpus))
            await self._helper.call(protocol.BIND_CPUS, request)

    async def stop(self, name: str, grace_seconds: int) -> None:
        """See Runtime."""
        await self._end(name, grace_seconds)
        self._id_ranges.release(name)
        await self._directories.remove(name)

    async def _end(self, name: str, grace_seconds: int) -> None:
        if grace_seconds:
            await self._terminate(f"{name}-{names.CONTAINER}", grace_seconds)
        await self._transport.call("DELETE", f"/pods/{name}", ok=(404,), params={"force": "true", "timeout": "0"})

    async def _terminate(self, name: str, seconds: int) -> None:
        """Send the stop signal and wait until the container follows it. Podman's own stop holds a lock meanwhile, on
        which every listing of pods waits (the pod's on 5.4.2, the container's on 5.8.6)."""
        container = await self._inspect(name)
        if container is None or container["State"]["Status"] != "running":
            return
        signal = str(container["Config"].get("StopSignal") or "SIGTERM")
        await self._transport.call("POST", f"/containers/{name}/kill", ok=(404, 409), params={"signal": signal})
        deadline = asyncio.get_running_loop().time() + seconds
        while container is not None and container["State"]["Status"] == "running":
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(STOP_TICK_SECONDS)
            container = await self._inspect(name)

    async def _inspect(self, container: str) -> dict[str, Any] | None:
        inspected: dict[str, Any] | None = await self._transport.call("GET", f"/containers/{container}/json", ok=(404,))
        return inspected

    async def exec(self, pod: ObservedPod, command: tuple[str, ...], timeout_seconds: float) -> ExecResult:
        """See Runtime."""
        container = names.container(pod.namespace, pod.service)
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        session = await self._transport.call("POST", f"/containers/{container}/exec", data=json.dumps(body))
        path = f"/exec/{session['Id']}"
        running = asyncio.create_task(
            self._transport.attach(f"{path}/start", json.dumps({"Detach": False}), EXEC_OUTPUT_BYTES)
        )
        try:
            await asyncio.wait({running}, timeout=timeout_seconds)
            if not running.done():
                await self._end_exec(pod, path, running)
                return ExecResult(exit_code=None, output="")
            output = await running
        finally:
            running.cancel()
        ended = await self._transport.call("GET", f"{path}/json")
        return ExecResult(exit_code=int(ended["ExitCode"]), output=text_of_frames(output))

    async def _end_exec(self, pod: ObservedPod, path: str, running: "asyncio.Task[bytes]") -> None:
        """Podman's API ends no exec, so its process is killed: else a probe that hangs leaves one each period. The
        process may also begin after its time."""
        deadline = asyncio.get_running_loop().time() + EXEC_END_SECONDS
        while not running.done() and asyncio.get_running_loop().time() < deadline:
            session = await self._transport.call("GET", f"{path}/json", ok=(404,))
            if session is None:
                return
            if session["Running"] and session["Pid"]:
                request = protocol.EndExec(pid=pod.pid, exec_pid=session["Pid"])
                await self._helper.call(protocol.END_EXEC, request)
            await asyncio.wait({running}, timeout=EXEC_TICK_SECONDS)

    async def logs(self, name: str, tail: int, init: str | None = None) -> str:
        """See Runtime."""
        params = {"stdout": "true", "stderr": "true", "tail": str(tail)}
        container = names.CONTAINER if init is None else f"{names.INIT}{init}"
        path = f"/containers/{name}-{container}/logs"
        tries = LOG_TRIES
        while True:
            try:
                return text_of_frames(await self._transport.read("GET", path, params=params))
            except BackendError as error:
                tries -= 1
                if tries == 0 or HALF_A_LINE not in error.message:
                    raise

    async def changes(self) -> AsyncIterator[None]:
        """See Runtime."""
        async for kind in self._transport.events():
            if kind != "container":
                self._observer.forget_images()
            yield

    async def close(self) -> None:
        """See Runtime."""
        await self._helper.close()
        self._transport.close()


def is_active(container: dict[str, Any]) -> bool:
    """Whether a started container, as Podman inspects it, has yet to end. It is `created` for a moment before it runs,
    and `stopped` before its exit code is known."""
    return container["State"]["Status"] in {"created", "initialized", "running", "paused", "stopping", "stopped"}


def kube_json(document: dict[str, Any]) -> bytes:
    """The document for kube play, as JSON, which is YAML: every string is quoted.

    Podman decodes by another YAML library than ours: to it the plain `1e3` and `08` are numbers. Escaped are what YAML
    takes for a line break in quotes or forbids, but no character above U+FFFF: it knows no surrogate pairs.
    """
    text = json.dumps(document, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def text_of_frames(data: bytes) -> str:
    """The text of a stream of Podman's, in which each piece has a header of eight bytes that end with its length."""
    text, at = b"", 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        text += data[at + 8 : at + 8 + size]
        at += 8 + size
    return text.decode(errors="replace")
