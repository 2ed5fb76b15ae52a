"""Names in Podman, which are global: pods `<namespace>.<service>`, other objects `<namespace>.<service>.<thing>`.

No part may hold a dot, so no two names can collide; with hyphens `a-b`+`c` and `a`+`b-c` would be one name. Podman
calls a container `<pod>-<container>`, so the names of containers hold no hyphen.
"""

import hashlib
from typing import Final

from xnai_operator.api.resources import key_of

CONTAINER: Final = "main"
INIT: Final = "init"
"""Before the name of an init container, which is then never that of the service's container."""
HOST_NAME_LENGTH: Final = 63
"""As in Kubernetes (truncatePodHostnameIfNeeded of the kubelet). Linux takes 64."""

LABEL_HASH: Final = "xnai.dev/spec-hash"
LABEL_UID: Final = "xnai.dev/owner-uid"
LABEL_SERVICE: Final = "xnai.dev/service"
LABEL_NAMESPACE: Final = "xnai.dev/namespace"
LABEL_SECTIONS: Final = "xnai.dev/sections"
LABEL_VARIANT: Final = "xnai.dev/variant"
LABEL_ALLOCATION: Final = "xnai.dev/memory"
LABEL_IDS: Final = "xnai.dev/first-id"
LABEL_INSTALLATION: Final = "xnai.dev/installation"
LABEL_FALLBACK: Final = "xnai.dev/tmpfs-on-disk"
"""Of a volume in the place of a tmpfs."""
LABEL_MANAGED: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "xnai-operator"


def pod(namespace: str, service: str) -> str:
    """The pod of a service: its name is the service's key."""
    return key_of(namespace, service)


def host_name(namespace: str, service: str) -> str | None:
    """The pod's host name; None where the name of the pod, which Podman takes by itself, is short enough. The name of
    a service that is itself too long is cut as Kubernetes cuts it."""
    if len(pod(namespace, service)) <= HOST_NAME_LENGTH:
        return None
    return service[:HOST_NAME_LENGTH].rstrip("-.")


def container(namespace: str, service: str) -> str:
    """The service's container as Podman calls it."""
    return f"{pod(namespace, service)}-{CONTAINER}"


def volume(namespace: str, service: str, name: str) -> str:
    """A persistent volume."""
    return f"{namespace}.{service}.{name}"


def scratch(namespace: str, service: str, mount_path: str) -> str:
    """A volume in the place of a tmpfs. It has one dot more than a persistent volume, so that no name is both."""
    digest = hashlib.sha256(mount_path.encode()).hexdigest()[:12]
    return f"{volume(namespace, service, 'tmpfs')}.{digest}"


def network(namespace: str) -> str:
    """The bridge of a namespace."""
    return f"xnai-{namespace}"


def aliases(namespace: str, service: str) -> list[str]:
    """The names of a service in the DNS of Kubernetes."""
    return [service, f"{service}.{namespace}", f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
