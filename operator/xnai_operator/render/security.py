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


def annotations(security: Security) -> dict[str, str]:
    """Podman's annotation for a user namespace in which the pod's user is the one who runs Podman.

    Shared is the default: for any other mapping rootless Podman copies every image layer (no id-mapped mounts for
    unprivileged users).
    """
    if security.user_namespace == "Shared":
        return {}
    mapping = f"keep-id:uid={security.run_as_user},gid={security.run_as_group}"
    return {"io.podman.annotations.userns": mapping}


def outside(security: Security, uid: int, gid: int) -> tuple[int, int]:
    """Owner and group of the container as Podman's own namespace counts them, where mounts are made.

    keep-id gives the pod's user the place of Podman's root and moves those below it up by one (podman-run(1)).
    """
    if security.user_namespace == "Shared":
        return uid, gid
    return _kept(uid, security.run_as_user), _kept(gid, security.run_as_group)


def _kept(number: int, own: int) -> int:
    return 0 if number == own else number + (number < own)
