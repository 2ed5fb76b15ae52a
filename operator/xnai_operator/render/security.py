"""Security contexts: the restricted profile of the Pod Security Standards, for what kube play honours of it.

kube play ignores runAsNonRoot, fsGroup and seccompProfile (5.4 to 5.8); the model refuses uid 0, Podman's default
seccomp filter is always on, and the fields stand in the document for other readers of it.
"""

from typing import Any

from xnai_operator.api.xnaiservice import Security


def container(security: Security) -> dict[str, Any]:
    """The container's securityContext."""
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if security.add_capabilities:
        capabilities["add"] = list(security.add_capabilities)
    return {
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": security.read_only_root_filesystem,
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
    }
