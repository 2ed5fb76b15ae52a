"""Names in Podman, which are global: pods `<namespace>.<service>`, other objects `<namespace>.<service>.<thing>`.

A dot can stand in no part, so no two can collide (joined by hyphens `a-b`+`c` and `a`+`b-c` would). Container
names hold no hyphen, because Podman calls a container `<pod>-<container>`.
"""

import hashlib
from typing import Final

CONTAINER: Final = "main"

LABEL_HASH: Final = "xnai.dev/spec-hash"
LABEL_UID: Final = "xnai.dev/owner-uid"
LABEL_SERVICE: Final = "xnai.dev/service"
LABEL_NAMESPACE: Final = "xnai.dev/namespace"
LABEL_FALLBACK: Final = "xnai.dev/tmpfs-on-disk"
LABEL_REDUCED: Final = "xnai.dev/model-reduced"
LABEL_ALLOCATION: Final = "xnai.dev/memory"
LABEL_IDS: Final = "xnai.dev/first-id"
LABEL_INSTALLATION: Final = "xnai.dev/installation"
LABEL_MANAGED: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "xnai-operator"


def pod(namespace: str, service: str) -> str:
    """The pod of a service."""
    return f"{namespace}.{service}"


def container(namespace: str, service: str) -> str:
    """The service's container as Podman calls it."""
    return f"{pod(namespace, service)}-{CONTAINER}"


def volume(namespace: str, service: str, name: str) -> str:
    """A persistent volume."""
    return f"{namespace}.{service}.{name}"


def scratch(namespace: str, service: str, mount_path: str) -> str:
    """A volume in the place of a tmpfs; with one dot more than a persistent one, which it must never be."""
    digest = hashlib.sha256(mount_path.encode()).hexdigest()[:12]
    return f"{volume(namespace, service, 'tmpfs')}.{digest}"


def network(namespace: str) -> str:
    """The bridge of a namespace."""
    return f"xnai-{namespace}"


def aliases(namespace: str, service: str) -> list[str]:
    """The names under which Kubernetes' DNS knows a service."""
    return [service, f"{service}.{namespace}", f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
