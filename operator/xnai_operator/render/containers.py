"""The containers of a pod: the service's own and its init containers."""

from typing import Any

from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import VULKAN_DEVICE, InitContainer
from xnai_operator.render import inference, names, network, security

Mounts = list[dict[str, Any]]
"""The `volumeMounts` of a container."""


def main(service: XnaiService, mounts: Mounts, cores: int) -> dict[str, Any]:
    """The service's container. `cores`: physical cores of the node."""
    spec = service.spec
    variables = {e.name: e.value for e in spec.env} | inference.variables(spec, cores)
    return {
        "name": names.CONTAINER,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        **_given(
            command=list(spec.command),
            args=list(spec.args),
            env=[{"name": name, "value": value} for name, value in variables.items()],
            ports=network.ports(service),
            resources=_resources(service),
            volumeMounts=mounts,
        ),
        "securityContext": security.container(spec.security),
    }


def init(service: XnaiService, mounts: Mounts) -> list[dict[str, Any]]:
    """The init containers, with the mounts of the service's container and, where they name no other, its image."""
    return [_init(service, declared, mounts) for declared in service.spec.init_containers]


def _init(service: XnaiService, declared: InitContainer, mounts: Mounts) -> dict[str, Any]:
    return {
        "name": f"{names.INIT}{declared.name}",
        "image": declared.image or service.spec.image,
        "imagePullPolicy": "IfNotPresent",
        **_given(
            command=list(declared.command),
            args=list(declared.args),
            env=[{"name": e.name, "value": e.value} for e in declared.env],
            volumeMounts=mounts,
        ),
        "securityContext": security.container(service.spec.security),
    }


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that are not empty."""
    return {name: value for name, value in fields.items() if value}


def _resources(service: XnaiService) -> dict[str, Any]:
    declared = service.spec.resources
    limits: dict[str, Any] = declared.limits.to_json()
    if service.spec.inference is not None and service.spec.inference.device == "vulkan":
        limits[f"podman.io/device={VULKAN_DEVICE}"] = 1
    return _given(requests=declared.requests.to_json(), limits=limits)
