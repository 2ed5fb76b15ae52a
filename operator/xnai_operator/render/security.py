"""Security contexts: the restricted profile of the Pod Security Standards, as far as kube play honours it.

kube play honours every field here but `runAsNonRoot`, which it ignores (5.4 to 6.1). Nothing depends on it: the model
refuses uid 0, and `runAsUser` is always set. Its readers are people and programs that take the output of `xnai render`:
admission by the Pod Security Standards and scanners of manifests refuse a pod without it.
kube play also ignores `fsGroup` and `seccompProfile`, so these are not rendered; Podman's default seccomp filter is on.
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
    """Podman's annotation for the user namespace; empty for the default, Shared.

    For any other mapping rootless Podman copies every layer of the image, because unprivileged users have no id-mapped
    mounts.
    """
    if security.user_namespace == "Shared":
        return {}
    keep = f"keep-id:uid={security.run_as_user},gid={security.run_as_group}"
    return {USERNS_ANNOTATION: keep if security.user_namespace == "KeepId" else "auto"}
