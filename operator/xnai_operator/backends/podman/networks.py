"""The bridges of namespaces, which stay when the last pod of a namespace goes."""

import json
from urllib.parse import quote

from xnai_operator.backends.podman.transport import Transport
from xnai_operator.render import names


class Networks:
    """Those of one installation. Every method raises BackendError when Podman does not answer."""

    def __init__(self, transport: Transport, installation: str) -> None:
        self._transport = transport
        self._installation = installation

    async def sweep(self, keep: set[str]) -> list[str]:
        """Remove the bridges of the namespaces that have no pod in `keep` (pod names). Returns the names of the
        bridges. The next start in a namespace makes its bridge again."""
        wanted = {names.network(pod.partition(".")[0]) for pod in keep}
        labels = [f"{names.LABEL_MANAGED}={names.MANAGER}", f"{names.LABEL_INSTALLATION}={self._installation}"]
        filters = json.dumps({"label": labels})
        networks = await self._transport.call("GET", "/networks/json", params={"filters": filters}) or []
        # Podman refuses to delete a network that a container has.
        return [
            name
            for name in sorted(str(network["name"]) for network in networks)
            if name not in wanted and await self._transport.status("DELETE", f"/networks/{quote(name, safe='')}") < 400
        ]
