"""Which pods may open connections to which: only a service that names another one reaches it."""

from collections.abc import Mapping

from xnai_operator.api.resources import XnaiService, key_of


def ingress(services: Mapping[str, XnaiService]) -> dict[str, frozenset[str]]:
    """Pod name -> names of the pods that may connect to it: those whose `dependsOn` or `network.peers` name it.

    A service whose network mode is not `Namespace` has no entry: no other pod shares its network.
    """
    clients: dict[str, set[str]] = {s.key: set() for s in services.values() if s.spec.network.mode == "Namespace"}
    for service in services.values():
        for name in {*service.spec.depends_on, *service.spec.network.peers}:
            target = key_of(service.namespace, name)
            if target in clients:
                clients[target].add(service.key)
    return {target: frozenset(pods) for target, pods in clients.items()}
