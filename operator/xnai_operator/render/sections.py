"""The sections of a pod, by which a restart is explained. Every field of the pod document is in one of them."""

from collections.abc import Set
from dataclasses import replace
from typing import Any, Final

from xnai_operator.api.xnaiservice import XnaiServiceSpec
from xnai_operator.render.pod import NetworkAttachment, TmpfsDirectory
from xnai_operator.render.storage import Mount, Storage

_ELSEWHERE: Final = {
    "name", "image", "command", "args", "env", "ports", "resources", "volumeMounts", "securityContext",
}  # fmt: skip
"""Fields of the service's container that are in a section of their own; the others are in `pod`."""
_OF_MAIN: Final = {"image", "volumeMounts", "securityContext"}
"""Fields of an init container that are in the sections of the service's container."""


def sections(
    spec: XnaiServiceSpec,
    body: dict[str, Any],
    storage: Storage,
    network: NetworkAttachment,
    annotations: dict[str, str],
) -> dict[str, object]:
    """Name -> JSON value. `body`: the pod document's `spec`.

    A field is in one section only, so that one change of the resource changes one section: the images of init
    containers are in `image`, their mounts are those of the service's container, and a tmpfs that belongs to the
    container's user is in `mounts` without the user's id."""
    main, init = body["containers"][0], body.get("initContainers", [])
    return {
        "image": [main["image"], [[c["name"], c["image"]] for c in init if c["image"] != main["image"]]],
        "init containers": [_without(_OF_MAIN, container) for container in init],
        "command": [main.get("command"), main.get("args")],
        "env": main.get("env"),
        "config": _mounts(storage.config),
        "secrets": _mounts(storage.secrets),
        "mounts": [
            [_tmpfs(directory, spec) for directory in storage.tmpfs],
            [repr(volume) for volume in storage.volumes],
            _mounts([*storage.tmpfs_mounts, *storage.other_mounts]),
        ],
        "network": [main.get("ports"), repr(network)],
        "security": [main["securityContext"], annotations],
        "resources": [main.get("resources"), sorted(spec.resources.cpus)],
        "pod": [_without({"containers", "initContainers", "volumes"}, body), _without(_ELSEWHERE, main)],
    }


def _without(names: Set[str], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _mounts(mounts: list[Mount]) -> list[str]:
    """Without the names of the volumes, which count all mounts of the pod."""
    return [repr(mount) for mount in mounts]


def _tmpfs(directory: TmpfsDirectory, spec: XnaiServiceSpec) -> str:
    """Without the size, which is changed while the pod runs, and without the ids of the container's user."""
    user, group = spec.security.run_as_user, spec.security.run_as_group
    uid = -1 if directory.uid == user else directory.uid
    gid = -1 if directory.gid == group else directory.gid
    return repr(replace(directory, size=0, uid=uid, gid=gid))
