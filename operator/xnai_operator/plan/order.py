"""Who is looked at first: more important before less, a dependency before what needs it, older before younger."""

from collections.abc import Mapping

from xnai_operator.api.resources import XnaiService


def ordered(services: Mapping[str, XnaiService]) -> list[XnaiService]:
    """All services; a cycle (refused by the checks) leaves its members in order of priority."""
    placed: dict[str, XnaiService] = {}
    visiting: set[str] = set()

    def place(service: XnaiService) -> None:
        if service.key in placed or service.key in visiting:
            return
        visiting.add(service.key)
        for name in service.spec.depends_on:
            other = services.get(f"{service.namespace}.{name}")
            if other is not None:
                place(other)
        placed[service.key] = service

    for service in sorted(services.values(), key=lambda s: (-s.spec.priority, s.created, s.key)):
        place(service)
    return list(placed.values())
