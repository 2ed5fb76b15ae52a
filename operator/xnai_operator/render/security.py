"""Security contexts: the restricted profile of the Pod Security Standards, for what kube play honours of it.

kube play ignores runAsNonRoot, fsGroup and seccompProfile (5.4 to 5.8); the model refuses uid 0, Podman's default
seccomp filter is always on, and the fields stand in the document for other readers of it.
"""

from typing import Any, Final

from xnai_operator.api.xnaiservice import Security

USERNS_ANNOTATION: Final = "io.podman.annotations.userns"


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


def annotations(security: Security) -> dict[str, str]:
    """Podman's annotation for the user namespace.

    Shared is the default: for any other mapping rootless Podman copies every image layer (no id-mapped mounts for
    unprivileged users).
    """
    if security.user_namespace == "Shared":
        return {}
    keep = f"keep-id:uid={security.run_as_user},gid={security.run_as_group}"
    return {USERNS_ANNOTATION: keep if security.user_namespace == "KeepId" else "auto"}
