"""Reading: what of ours Podman runs, and what could be started."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from xnai_operator.api.host_ports import HostPort
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.errors import BackendError
from xnai_operator.host import node
from xnai_operator.memory.allocation import Allocation
from xnai_operator.plan.observed import Observed, ObservedPod
from xnai_operator.render import names
from xnai_operator.render.digest import sections_from_text
from xnai_operator.render.variant import AS_DECLARED, Variant

T = TypeVar("T")

GONE = "no such container"
"""Podman's words (5.4 and 5.8) when a container is removed while it lists them."""
IMAGES_SECONDS = 55.0
"""No list of images is older than this, should an event be lost."""


class Observer:
    """Remembers what inspect said of a container as long as its state in the list is the same."""

    def __init__(self, transport: Transport, installation: str) -> None:
        self._transport = transport
        # A list as filter value matches nothing without a word (podman-py 5.8); the JSON is written out here.
        self._ours = json.dumps({"label": [f"{names.LABEL_INSTALLATION}={installation}"]})
        self._inspected: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._limits: bool | None = None
        self._missing: frozenset[str] = frozenset()
        self._runtime = ""
        self._images: dict[str, str] | None = None
        self._images_at = 0.0

    def forget_images(self) -> None:
        """The list of images has changed."""
        self._images = None

    async def observe(self) -> Observed:
        """Pods, images, volumes at one moment."""
        try:
            return await self._observe()
        except BackendError as error:
            if GONE not in error.message:
                raise
            return await self._observe()

    async def _observe(self) -> Observed:
        call = self._transport.call
        pods, containers, volumes, images = await asyncio.gather(
            call("GET", "/pods/json", params={"filters": self._ours}),
            call("GET", "/containers/json", params={"all": "true", "filters": self._ours}),
            call("GET", "/volumes/json"),
            self._list_images(),
        )
        if self._limits is None:
            info = await call("GET", "/info")
            host = info["host"]
            self._runtime = f"podman {info['version']['Version']}"
            usable = usable_controllers(host, node.controllers(Path("/sys"), os.getuid())[1])
            # crun fails where one of version 2 is missing; of version 1 rootless Podman has none, and drops the limits.
            self._missing = frozenset({"memory", "cpu"} - usable) if host["cgroupVersion"] == "v2" else frozenset()
            self._limits = not host["security"]["rootless"] or "memory" in usable
        mains = {c["Pod"]: c for c in containers or [] if c["Names"][0].endswith(f"-{names.CONTAINER}")}
        inspected = await self._inspect([*mains.values(), *(infra for pod in pods or [] if (infra := _infra(pod)))])
        found = {}
        for pod in pods or []:
            main = mains.get(pod["Id"])
            infra = inspected.get(pod.get("InfraId", ""))
            found[pod["Name"]] = replace(
                _pod(pod, None if main is None else inspected.get(main["Id"])),
                ports=held_ports(pod, main or {}),
                network_pid=0 if infra is None else infra["State"]["Pid"],
                init_container=_init_container(pod["Name"], containers or []),
            )
        names_of_volumes = frozenset(v["Name"] for v in volumes or [])
        return Observed(found, images, names_of_volumes, self._limits, self._missing, self._runtime)

    async def _list_images(self) -> dict[str, str]:
        """Name with a tag, name with a digest, or id -> id. Podman needs 65 ms for twenty images, so the list is kept
        until an event says that it changed."""
        if self._images is None or time.monotonic() - self._images_at > IMAGES_SECONDS:
            listed = await self._transport.call("GET", "/images/json")
            self._images_at = time.monotonic()
            self._images = {
                name: image["Id"]
                for image in listed or []
                for name in [*(image.get("Names") or []), *(image.get("RepoDigests") or []), image["Id"]]
            }
        return self._images

    async def _inspect(self, containers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        # The times are seconds: of two restarts in one only the process id tells.
        keys = {(c["Id"], c["State"], c.get("Pid"), c.get("StartedAt"), c.get("ExitedAt")): c for c in containers}
        new = [key for key in keys if key not in self._inspected]
        details = await asyncio.gather(
            *(self._transport.call("GET", f"/containers/{key[0]}/json", ok=(404,)) for key in new)
        )
        self._inspected = {key: value for key, value in self._inspected.items() if key in keys}
        self._inspected |= {key: value for key, value in zip(new, details, strict=True) if value is not None}
        return {str(key[0]): value for key, value in self._inspected.items()}


def usable_controllers(host: dict[str, Any], delegated: tuple[str, ...]) -> frozenset[str]:
    """The cgroup controllers of containers.

    Podman's service names those of its own cgroup (5.4), which of a login are memory and pids only. Where systemd
    starts them, rootless containers are below user@UID.service, with what is `delegated` there.
    """
    if host["security"]["rootless"] and host["cgroupManager"] == "systemd" and delegated:
        return frozenset(delegated)
    return frozenset(host["cgroupControllers"])


def held_ports(pod: dict[str, Any], container: dict[str, Any]) -> frozenset[HostPort]:
    """The ports of the machine that a pod has, from its entry and its container's in Podman's lists. The infra
    container holds them while it runs. Podman lists ports in a row as one with a range."""
    states = {member["Id"]: member["Status"] for member in pod.get("Containers") or []}
    if states.get(pod.get("InfraId", "")) != "running":
        return frozenset()
    return frozenset(
        HostPort(port["host_ip"] or "0.0.0.0", port["host_port"] + offset, port["protocol"].upper())  # noqa: S104
        for port in container.get("Ports") or []
        if port["host_port"]
        for offset in range(port.get("range", 1))
    )


def _seconds(text: str) -> float:
    """Podman's times: nanoseconds, which fromisoformat cuts from Python 3.11 on; year 1 means never."""
    moment = datetime.fromisoformat(text)
    return moment.timestamp() if moment.year > 1 else 0.0


def _parsed(label: str | None, parse: Callable[[str], T]) -> T | None:
    """The value of a label; None when the label is missing or another version of the operator wrote it."""
    try:
        return None if label is None else parse(label)
    except (ValueError, TypeError):
        return None


def _infra(pod: dict[str, Any]) -> dict[str, Any] | None:
    """The container that has the pod's network, as in a list of containers, in which it is not: it has no labels. None
    while it does not run."""
    listed = (c for c in pod.get("Containers") or [] if c["Id"] == pod.get("InfraId") and c["Status"] == "running")
    return next(({"Id": c["Id"], "State": c["Status"]} for c in listed), None)


def _init_container(pod: str, containers: list[dict[str, Any]]) -> str:
    """The init container of the pod that runs, by its name in the service; empty when none does."""
    prefix = f"{pod}-{names.INIT}"
    running = (c["Names"][0] for c in containers if c["State"] == "running")
    return next((name.removeprefix(prefix) for name in running if name.startswith(prefix)), "")


def _pod(pod: dict[str, Any], container: dict[str, Any] | None) -> ObservedPod:
    labels = pod.get("Labels") or {}
    known = {
        "name": pod["Name"],
        "namespace": labels.get(names.LABEL_NAMESPACE, ""),
        "service": labels.get(names.LABEL_SERVICE, ""),
        "uid": labels.get(names.LABEL_UID, ""),
        "hash": labels.get(names.LABEL_HASH, ""),
        "sections": _parsed(labels.get(names.LABEL_SECTIONS), sections_from_text) or {},
        "variant": _parsed(labels.get(names.LABEL_VARIANT), Variant.from_text) or AS_DECLARED,
        "allocation": _parsed(labels.get(names.LABEL_ALLOCATION), Allocation.from_text),
    }
    if container is None:
        return ObservedPod(**known, running=False)
    state = container["State"]
    return ObservedPod(
        **known,
        running=state["Status"] == "running",
        pid=state["Pid"],
        started_at=_seconds(state["StartedAt"]),
        finished_at=_seconds(state["FinishedAt"]),
        exit_code=state["ExitCode"],
        oom_killed=state.get("OOMKilled", False),
        image_id=container["Image"],
        memory_limit=container["HostConfig"].get("Memory", 0),
    )
