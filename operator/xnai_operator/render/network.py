"""The network of a pod: the ports it publishes and the bridge it is attached to."""

from typing import Any, Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.render import names
from xnai_operator.render.pod import NetworkAttachment

MTU: Final = 1500


def ports(service: XnaiService) -> list[dict[str, Any]]:
    """The container's `ports`. A port without a host port is not published."""
    return [
        {"name": port.name, "containerPort": port.container_port, "protocol": port.protocol}
        | ({"hostPort": port.host_port, "hostIP": port.host_ip} if port.host_port else {})
        for port in service.spec.ports
    ]


def attachment(service: XnaiService) -> NetworkAttachment:
    """The namespace's bridge, or a network of its own for `network.mode: Alone`."""
    if service.spec.network.mode != "Namespace":
        return NetworkAttachment(None, mtu=MTU)
    aliases = tuple(names.aliases(service.namespace, service.name))
    return NetworkAttachment(names.network(service.namespace), aliases, MTU)
