"""Volumes of Podman: the persistent ones of services, and those that stand for a tmpfs on the disk."""

import json

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.errors import BackendError
from xnai_operator.render import names
from xnai_operator.render.pod import PersistentVolume


class Volumes:
    """Those of one installation. Every method raises BackendError when Podman or the helper fails."""

    def __init__(self, transport: Transport, helper: HelperClient, installation: str) -> None:
        self._transport = transport
        self._helper = helper
        self._installation = installation

    async def ensure(self, volume: PersistentVolume, uid: str) -> None:
        """Make the volume of a service when it is missing. Raises BackendError when another service's is missing."""
        if await self._transport.exists("volumes", volume.name):
            return
        if not volume.owned:
            # Podman would make an empty one of that name without a word.
            raise BackendError(Reason.VOLUME_MISSING, f"volume {volume.name} is not there yet")
        labels = {
            names.LABEL_MANAGED: names.MANAGER,
            names.LABEL_INSTALLATION: self._installation,
            names.LABEL_UID: uid,
        }
        await self._create(volume.name, labels)

    async def check_room(self, volumes: list[PersistentVolume]) -> None:
        """Raises BackendError when the disk has no room for the tmpfs that these volumes stand for."""
        sources = [volume.instead_of for volume in volumes if volume.instead_of is not None]
        if not sources:
            return
        target = (await self._transport.call("GET", "/info"))["store"]["volumePath"]
        room = await self._helper.call(protocol.ROOM, protocol.Room(sources=sources, target=target))
        if room["used"] > room["free"]:
            message = f"{room['used']} bytes of tmpfs do not fit on the disk: {room['free']} are free below {target}"
            raise BackendError(Reason.DISK_FULL, f"{message}; `podman image prune`")

    async def replace_tmpfs(self, volume: PersistentVolume, uid: str) -> None:
        """A new volume that stands for a tmpfs. It takes what the tmpfs of the running pod holds."""
        assert volume.instead_of is not None
        await self._transport.call("DELETE", f"/volumes/{volume.name}", ok=(404,))
        labels = {
            names.LABEL_MANAGED: names.MANAGER,
            names.LABEL_INSTALLATION: self._installation,
            names.LABEL_FALLBACK: "true",
            names.LABEL_UID: uid,
        }
        mountpoint = await self._create(volume.name, labels)
        await self._helper.call(protocol.COPY, protocol.Copy(source=volume.instead_of, target=mountpoint))

    async def _create(self, name: str, labels: dict[str, str]) -> str:
        body = json.dumps({"Name": name, "Labels": labels})
        created = await self._transport.call("POST", "/volumes/create", data=body)
        return str(created["Mountpoint"])

    async def sweep(self) -> list[str]:
        """Remove the volumes that stood for a tmpfs and that no container has. Returns their names."""
        labels = [f"{names.LABEL_INSTALLATION}={self._installation}", f"{names.LABEL_FALLBACK}=true"]
        filters = json.dumps({"label": labels})
        volumes = await self._transport.call("GET", "/volumes/json", params={"filters": filters}) or []
        # Podman refuses to delete what a container has, also one that has ended.
        return [
            str(volume["Name"])
            for volume in volumes
            if await self._transport.status("DELETE", f"/volumes/{volume['Name']}") < 400
        ]
