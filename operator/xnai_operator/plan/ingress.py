"""Who may connect to whom: a service is reached by those that name it, as dependency or as peer, and by nobody else."""

from collections.abc import Mapping

from xnai_operator.api.resources import XnaiService
from xnai_operator.render import names


def ingress(services: Mapping[str, XnaiService]) -> dict[str, frozenset[str]]:
    """Pod name -> names of the pods that may connect to it; pods alone on their network are not in it."""
    found: dict[str, set[str]] = {
        names.pod(s.namespace, s.name): set() for s in services.values() if s.spec.network.mode == "Namespace"
    }
    for service in services.values():
        for name in {*service.spec.depends_on, *service.spec.network.peers}:
            target = names.pod(service.namespace, name)
            if target in found:
                found[target].add(names.pod(service.namespace, service.name))
    return {target: frozenset(pods) for target, pods in found.items()}
