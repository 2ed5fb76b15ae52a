"""The back end: prepare, play, stop. The rest is in `observe` and in the helper of Podman's user namespace."""

import asyncio
import base64
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman import id_ranges
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.backends.podman.observe import Observer
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.errors import BackendError
from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.host.files import write_atomically
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod, Usage
from xnai_operator.render import names
from xnai_operator.render.inference import SIGNAL_FILE
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import NetworkAttachment, PersistentVolume, RenderedPod

PLAYS = 4
"""Plays at a time: 8 pods took 0.8 s so, 1.5 s one after another (5.4.2 rootless)."""
PLAY_SECONDS = 60.0
"""Until Podman is given up on."""
INIT_SECONDS = 600.0
"""The same, where it waits for init containers."""
COPY_SECONDS = 600.0
"""Until a tmpfs is on the disk: 1 GiB to a memory card."""
STOP_TICK_SECONDS = 0.1
"""How often it is looked whether a container has followed its stop signal."""

_NOT_OURS = re.compile(r"/(proc|sys|dev(?!/shm(/|$)))(/|$)")
"""Where the runtime mounts small tmpfs of its own."""


class PodmanBackend:
    """`backends.base.Backend` on the Podman service at `socket`. `environment` is that of the rendered pods."""

    def __init__(self, socket: str, installation: Installation, userns: HelperClient | None = None) -> None:
        self._transport = Transport(socket)
        self._installation = installation.installation
        self._observer = Observer(self._transport, self._installation)
        self._helper = userns or HelperClient()
        self._runtime_dir = installation.runtime_dir
        self._signals = Path(installation.runtime_dir) / "signals"
        self._playing = asyncio.Semaphore(PLAYS)
        self._ranges: dict[str, int] = {}

    async def observe(self) -> Observed:
        """See Backend."""
        return await self._observer.observe()

    async def start(self, pod: RenderedPod) -> None:
        """See Backend. What can be refused is looked at before the old pod is removed."""
        replaces = await self._replaces(pod.name)
        scratch = [volume for volume in pod.volumes if volume.instead_of is not None]
        pod = await self._placed(pod)
        checks = [
            self._network(pod.network),
            *(self._image_present(image) for image in {pod.image, *pod.init_images}),
            *(self._volume(volume, pod.uid) for volume in pod.volumes if volume.instead_of is None),
        ]
        if replaces:
            await asyncio.gather(*checks, self._room_for(scratch))
            await self._end(pod.name, int(pod.document["spec"]["terminationGracePeriodSeconds"]))
            checks = []
        try:
            await asyncio.gather(*(self._scratch(volume, pod.uid) for volume in scratch))
            if replaces:
                await self._remove_directories(lambda name: name == pod.name)
            # Nothing is in the way: what is looked at and what is made go side by side, and all of it ends before
            # anything is cleaned up.
            done = await asyncio.gather(self._prepare(pod), *checks, return_exceptions=True)
            for error in done:
                if isinstance(error, BaseException):
                    raise error
            async with self._playing:
                await self._play(pod)
            if pod.cpus:
                await self._bind(pod)
        except BackendError:
            await self.stop(pod.name, 0)
            raise

    async def _image_present(self, image: str) -> None:
        if await self._exists("images", image):
            return
        raise BackendError(Reason.IMAGE_MISSING, f"{image} is not on this machine; `podman pull {image}`")

    async def _volume(self, volume: PersistentVolume, uid: str) -> None:
        if await self._exists("volumes", volume.name):
            return
        if not volume.owned:
            # Podman would make an empty one of that name without a word.
            raise BackendError(Reason.VOLUME_MISSING, f"volume {volume.name} is not there yet")
        labels = {names.LABEL_MANAGED: names.MANAGER, names.LABEL_UID: uid}
        await self._transport.call("POST", "/volumes/create", data=json.dumps({"Name": volume.name, "Labels": labels}))

    async def _room_for(self, scratch: list[PersistentVolume]) -> None:
        """Raises BackendError when the disk cannot take what is to be moved there."""
        if not scratch:
            return
        volumes = (await self._transport.call("GET", "/info"))["store"]["volumePath"]
        sources = [volume.instead_of for volume in scratch]
        found = await self._helper.call("room", sources=sources, target=volumes)
        if found["used"] > found["free"]:
            message = f"{found['used']} bytes of tmpfs do not fit on the disk: {found['free']} are free below {volumes}"
            raise BackendError(Reason.TMPFS_IN_USE, f"{message}; `podman image prune`")

    async def _scratch(self, volume: PersistentVolume, uid: str) -> None:
        """An empty volume in the place of a tmpfs, with what that still holds."""
        await self._transport.call("DELETE", f"/volumes/{volume.name}", ok=(404,))
        labels = {
            names.LABEL_MANAGED: names.MANAGER,
            names.LABEL_INSTALLATION: self._installation,
            names.LABEL_FALLBACK: "true",
            names.LABEL_UID: uid,
        }
        body = json.dumps({"Name": volume.name, "Labels": labels})
        made = await self._transport.call("POST", "/volumes/create", data=body)
        await self._helper.call("copy", COPY_SECONDS, source=volume.instead_of, target=made["Mountpoint"])

    async def _exists(self, kind: str, name: str) -> bool:
        """Podman answers 204, or 404 which `call` gives as None as well: the status is asked for itself."""
        return await self._transport.status("GET", f"/{kind}/{quote(name, safe='')}/exists") < 400

    async def _replaces(self, name: str) -> bool:
        """Whether a pod of ours has the name. Raises BackendError when somebody else's has."""
        found = await self._transport.call("GET", f"/pods/{name}/json", ok=(404,))
        if found is not None and (found.get("Labels") or {}).get(names.LABEL_INSTALLATION) != self._installation:
            raise BackendError(
                Reason.START_FAILED, f"a pod {name} that is not this operator's is in the way; `podman pod rm {name}`"
            )
        return found is not None

    async def _network(self, network: NetworkAttachment) -> None:
        if network.name is None:
            return
        if not await self._exists("networks", network.name):
            body = {
                "name": network.name,
                "driver": "bridge",
                "dns_enabled": True,
                "options": {"mtu": str(network.mtu)},
                "labels": {names.LABEL_MANAGED: names.MANAGER},
            }
            await self._transport.call("POST", "/networks/create", ok=(409,), data=json.dumps(body))

    async def _placed(self, pod: RenderedPod) -> RenderedPod:
        """With its owners as they are where mounts are made; for Auto in a range of ids that no other pod has, nor a
        volume of one that does not run."""
        if pod.security.user_namespace != "Auto":
            return id_ranges.placed(pod)
        labelled = {"filters": json.dumps({"label": [names.LABEL_IDS]})}
        pods, volumes = await asyncio.gather(
            self._transport.call("GET", "/pods/json", params=labelled), self._transport.call("GET", "/volumes/json")
        )
        paths: dict[bool, list[str]] = {True: [], False: []}
        for volume in volumes or []:
            paths[volume["Name"].startswith(f"{pod.name}.")].append(volume["Mountpoint"])
        own = (await self._helper.call("owners", paths=paths[True]))["uids"]
        taken = set((await self._helper.call("owners", paths=paths[False]))["uids"])
        taken |= {int(each["Labels"][names.LABEL_IDS]) for each in pods or [] if each["Name"] != pod.name}
        # From here to the choice nothing is awaited: starts go side by side, and Podman does not list them all yet.
        taken |= {begin for name, begin in self._ranges.items() if name != pod.name}
        self._ranges[pod.name] = id_ranges.choose(pod.name, taken, own)
        return id_ranges.placed(pod, self._ranges[pod.name])

    async def _prepare(self, pod: RenderedPod) -> None:
        if pod.signal is not None:
            _write_signal(Path(pod.signal), 0)
        tmpfs = [
            {"path": t.source, "size": t.size, "mode": t.mode, "uid": t.uid, "gid": t.gid, "exec": t.exec}
            for t in pod.tmpfs
        ]
        files = [
            {"path": f.source, "files": _encoded(f.files), "uid": f.uid, "gid": f.gid, "secret": f.secret}
            for f in pod.files
        ]
        await self._helper.call("prepare", tmpfs=tmpfs, files=files)

    async def _play(self, pod: RenderedPod) -> None:
        network = pod.network
        if network.name is None:
            how = f"pasta:--mtu,{network.mtu}"
        else:
            how = f"{network.name}:" + ",".join(f"alias={alias}" for alias in network.aliases)
        report = await self._transport.call(
            "POST",
            "/kube/play",
            params={"network": how},
            data=yaml.safe_dump(pod.document, sort_keys=False),
            headers={"Content-Type": "application/yaml"},
            # Podman answers when the init containers have ended.
            timeout=INIT_SECONDS if pod.init_images else PLAY_SECONDS,
        )
        # A container that did not start is told in a 200.
        errors = [error for played in report["Pods"] or [] for error in played.get("ContainerErrors") or []]
        if errors:
            raise BackendError(Reason.START_FAILED, "; ".join(errors))

    async def _bind(self, pod: RenderedPod) -> None:
        """kube YAML has no CPU set, and the cpuset controller is delegated to few users: affinity needs neither."""
        container = names.container(pod.namespace, pod.service)
        found = await self._transport.call("GET", f"/containers/{container}/json", ok=(404,))
        if found is not None and found["State"]["Pid"]:
            await self._helper.call("bind", pid=found["State"]["Pid"], cpus=sorted(pod.cpus))

    async def stop(self, name: str, grace_seconds: int) -> None:
        """See Backend."""
        await self._end(name, grace_seconds)
        self._ranges.pop(name, None)
        await self._remove_directories(lambda pod: pod == name)

    async def _end(self, name: str, grace_seconds: int) -> None:
        if grace_seconds:
            await self._terminate(f"{name}-{names.CONTAINER}", grace_seconds)
        await self._transport.call("DELETE", f"/pods/{name}", ok=(404,), params={"force": "true", "timeout": "0"})

    async def _terminate(self, container: str, seconds: int) -> None:
        """The stop signal, and time to follow it. Podman's own stop holds a lock meanwhile, on which every listing of
        pods waits (the pod's on 5.4.2, the container's on 5.8.6)."""
        path = f"/containers/{container}"
        found = await self._transport.call("GET", f"{path}/json", ok=(404,))
        if found is None or found["State"]["Status"] != "running":
            return
        signal = str(found["Config"].get("StopSignal") or "SIGTERM")
        await self._transport.call("POST", f"{path}/kill", ok=(404, 409), params={"signal": signal})
        deadline = asyncio.get_running_loop().time() + seconds
        while found is not None and found["State"]["Status"] == "running":
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(STOP_TICK_SECONDS)
            found = await self._transport.call("GET", f"{path}/json", ok=(404,))

    async def _remove_directories(self, doomed: Callable[[str], bool]) -> list[str]:
        removed = []
        for directory in self._signals.iterdir() if self._signals.is_dir() else ():
            if doomed(directory.name):
                shutil.rmtree(directory, ignore_errors=True)
                removed.append(str(directory))
        for kind in ("tmpfs", "files"):
            below = await self._helper.call("mounts_below", path=f"{self._runtime_dir}/{kind}")
            for path in below["entries"]:
                thing = path.rsplit("/", 1)[1]
                if doomed(".".join(thing.split(".")[:2])):
                    await self._helper.call("remove", path=path)
                    removed.append(path)
        return removed

    async def mounts(self, pod: ObservedPod) -> list[ObservedMount]:
        """See Backend."""
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

    async def _tmpfs(self, pod: ObservedPod) -> list[dict[str, Any]]:
        """The tmpfs of a container that are its own: not read-only as secrets are, and no part of one of the host's."""
        found = (await self._helper.call("container_mounts", pid=pod.pid))["mounts"]
        return [m for m in found if m["root"] == "/" and "ro" not in m["flags"] and not _NOT_OURS.match(m["path"])]

    async def resize(self, pod: RenderedPod) -> None:
        """See Backend."""
        for tmpfs in pod.tmpfs:
            await self._helper.call("resize", path=tmpfs.source, size=tmpfs.size)

    async def signal_pressure(self, name: str, step: int) -> None:
        """See Backend."""
        directory = self._signals / name
        if directory.is_dir():
            _write_signal(directory, step)

    async def allow_ingress_from(self, pod: ObservedPod, clients: list[ObservedPod]) -> None:
        """See Backend. netavark can part bridges, not the pods on one; a filter in the pod's own network can."""
        await self._helper.call("restrict", pid=pod.pid, clients=[client.pid for client in clients])

    async def usage(self, pod: ObservedPod) -> Usage:
        """See Backend."""
        answer = await self._helper.call("usage", pid=pod.pid)
        ours = await self._tmpfs(pod)
        return Usage(answer["memory"], sum(m["used"] for m in ours), sum(m["size"] for m in ours))

    async def probe(self, pod: ObservedPod, request: ProbeRequest) -> ProbeResult:
        """See Backend."""
        if request.command is not None:
            return await self._exec(pod, request.command, request.timeout)
        port, path = request.http if request.http is not None else (request.tcp, None)
        answer = await self._helper.call("probe", pid=pod.pid, port=port, path=path, seconds=request.timeout)
        return ProbeResult(answer["success"], answer["message"])

    async def _exec(self, pod: ObservedPod, command: tuple[str, ...], timeout: float) -> ProbeResult:  # noqa: ASYNC109
        container = names.container(pod.namespace, pod.service)
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        session = await self._transport.call("POST", f"/containers/{container}/exec", data=json.dumps(body))
        start = self._transport.read("POST", f"/exec/{session['Id']}/start", data=json.dumps({"Detach": False}))
        try:
            await asyncio.wait_for(start, timeout)
        except TimeoutError:
            return ProbeResult(False, f"{command[0]} did not end in {timeout:g} s")
        result = await self._transport.call("GET", f"/exec/{session['Id']}/json")
        code = result["ExitCode"]
        return ProbeResult(code == 0, f"{command[0]} ended with {code}")

    async def logs(self, name: str, tail: int) -> str:
        """See Backend. The stream is framed: eight bytes before each piece."""
        params = {"stdout": "true", "stderr": "true", "tail": str(tail)}
        path = f"/containers/{name}-{names.CONTAINER}/logs"
        data = await self._transport.read("GET", path, params=params)
        text, at = b"", 0
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "big")
            text += data[at + 8 : at + 8 + size]
            at += 8 + size
        return text.decode(errors="replace")

    def changes(self) -> AsyncIterator[None]:
        """See Backend."""
        return self._events()

    async def _events(self) -> AsyncIterator[None]:
        async for kind in self._transport.events():
            if kind != "container":
                self._observer.forget_images()
            yield

    async def sweep(self, keep: set[str]) -> list[str]:
        """See Backend."""
        ours = [f"{names.LABEL_INSTALLATION}={self._installation}", f"{names.LABEL_FALLBACK}=true"]
        filters = json.dumps({"label": ours})
        removed = await self._remove_directories(lambda pod: pod not in keep)
        for volume in await self._transport.call("GET", "/volumes/json", params={"filters": filters}) or []:
            # Podman refuses what a container has, also one that has ended.
            if await self._transport.status("DELETE", f"/volumes/{volume['Name']}") < 400:
                removed.append(str(volume["Name"]))
        return removed

    async def close(self) -> None:
        """See Backend."""
        await self._helper.close()
        self._transport.close()


def _encoded(files: dict[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(content).decode() for name, content in files.items()}


def _write_signal(directory: Path, step: int) -> None:
    """Readable by every user of the pod, whatever the umask."""
    write_atomically(directory / SIGNAL_FILE, f"{step}\n", mode=0o644)
    directory.chmod(0o755)
