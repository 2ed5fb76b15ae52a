"""The Podman dialect: a pod document for `podman kube play` and what must stand ready before it is played.

tmpfs, config and secrets are directories the back end mounts beforehand and the pod gets as hostPath:
`emptyDir.sizeLimit` is not enforced by any released Podman, a ConfigMap volume stays on disk as plain text and
can be turned against the host (CVE-2025-9566), and a tmpfs volume loses its mode on restart.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import FileSource, InitContainer, TmpfsMount
from xnai_operator.memory.admission import Allocation
from xnai_operator.render import inference, names, security
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import FileDirectory, NetworkAttachment, PersistentVolume, RenderedPod, TmpfsDirectory
from xnai_operator.tmpfs.mounts import size_of

MTU: Final = 1500
FileContents = Mapping[tuple[str, str], Mapping[str, bytes]]
"""(kind, name) -> key -> bytes, of the namespace; kind is `ConfigMap` or `Secret`."""


class _Mounts:
    """The `volumes` and `volumeMounts` of a pod, built side by side."""

    def __init__(self) -> None:
        self.volumes: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []

    def host_path(self, source: str, path: str, *, read_only: bool, kind: str = "Directory") -> None:
        self._add({"hostPath": {"path": source, "type": kind}}, path, read_only=read_only)

    def claim(self, volume: str, path: str, *, read_only: bool, owned: bool, options: str = "") -> None:
        # `U` gives the volume to the container's user, for an image directory of another owner would be copied
        # onto it at first use. Only for the owner: two users with `U` on one volume take it from each other.
        self._add(
            {"persistentVolumeClaim": {"claimName": volume}},
            path + (":U" + options if owned else ""),
            read_only=read_only,
        )

    def _add(self, source: dict[str, Any], path: str, *, read_only: bool) -> None:
        name = f"v{len(self.volumes)}"
        self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {}))


def _digest(key: bytes, value: object) -> str:
    """A keyed hash of 32 hexadecimal digits: fits a label, and no secret can be guessed from it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def _escaped_path(path: str) -> str:
    """A path as part of a name, as RFC 6901 writes it: no two paths collide."""
    return path.strip("/").replace("~", "~0").replace("/", "~1")


def _source(service: XnaiService, mount_path: str, installation: Installation) -> str:
    """Where the tmpfs for `mount_path` is on the host."""
    return (
        f"{installation.runtime_dir}/tmpfs/{names.volume(service.namespace, service.name, _escaped_path(mount_path))}"
    )


def _tmpfs(service: XnaiService, mount: TmpfsMount, installation: Installation) -> TmpfsDirectory:
    own = service.spec.security
    return TmpfsDirectory(
        source=_source(service, mount.mount_path, installation),
        mount_path=mount.mount_path,
        size=size_of(mount),
        mode=mount.mode,
        uid=own.run_as_user if mount.owner is None else mount.owner,
        gid=own.run_as_group if mount.group is None else mount.group,
        exec=mount.exec,
    )


def _files(
    service: XnaiService, kind: str, source: FileSource, contents: FileContents, installation: Installation
) -> FileDirectory:
    available = contents[kind, source.name]
    files = {key: available[key] for key in (source.keys or sorted(available))}
    digest = _digest(installation.key, {key: value.hex() for key, value in files.items()})
    thing = f"{kind.lower()}.{source.name}.{digest}"
    return FileDirectory(
        source=f"{installation.runtime_dir}/files/{names.volume(service.namespace, service.name, thing)}",
        mount_path=source.mount_path,
        files=files,
        uid=service.spec.security.run_as_user,
        gid=service.spec.security.run_as_group,
        secret=kind == "Secret",
    )


def _ports(service: XnaiService) -> list[dict[str, Any]]:
    return [
        {"name": port.name, "containerPort": port.container_port, "protocol": port.protocol}
        | ({"hostPort": port.host_port, "hostIP": port.host_ip} if port.host_port else {})
        for port in service.spec.ports
    ]


def _resources(service: XnaiService) -> dict[str, Any]:
    given = service.spec.resources
    limits: dict[str, Any] = given.limits.to_json()
    if service.spec.inference is not None and service.spec.inference.device == "vulkan":
        limits["podman.io/device=/dev/dri/renderD128"] = 1
    return {k: v for k, v in (("requests", given.requests.to_json()), ("limits", limits)) if v}


def _init(service: XnaiService, init: InitContainer, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    optional = {
        "command": list(init.command),
        "args": list(init.args),
        "env": [{"name": e.name, "value": e.value} for e in init.env],
        "volumeMounts": mounts,
    }
    return {
        "name": f"init{init.name}",  # never the name of the service's container
        "image": init.image or service.spec.image,
        "imagePullPolicy": "IfNotPresent",
        **{key: value for key, value in optional.items() if value},
        "securityContext": security.container(service.spec.security),
    }


def render(
    service: XnaiService,
    tmpfs: list[TmpfsMount],
    contents: FileContents,
    installation: Installation,
    on_disk: frozenset[str] = frozenset(),
    *,
    reduced: bool = False,
    allocation: Allocation | None = None,
) -> RenderedPod:
    """The service as a pod.

    `tmpfs`: its merged mounts. `on_disk`: the paths of the mounts that fall back to volumes. `reduced`: the model is
    loaded smaller than declared. `allocation`: what the service is admitted with, without its tmpfs. `contents`: what
    its config and secrets name; the checks ran before, so a missing one is a KeyError here."""
    spec = service.spec
    mounts = _Mounts()
    directories = tuple(_tmpfs(service, mount, installation) for mount in tmpfs if mount.mount_path not in on_disk)
    for directory in directories:
        mounts.host_path(directory.source, directory.mount_path, read_only=False)
    sources = [("ConfigMap", c) for c in spec.storage.config] + [("Secret", s) for s in spec.storage.secrets]
    files = tuple(_files(service, kind, source, contents, installation) for kind, source in sources)
    for entry in files:
        mounts.host_path(entry.source, entry.mount_path, read_only=True)
    volumes = []
    for volume in spec.storage.volumes:
        owned = volume.service in {None, service.name}
        name = names.volume(service.namespace, volume.service or service.name, volume.name)
        volumes.append(PersistentVolume(name, owned))
        mounts.claim(name, volume.mount_path, read_only=volume.read_only, owned=owned and not volume.read_only)
    programs = {mount.mount_path for mount in tmpfs if mount.exec}
    for mount_path in sorted(on_disk):
        options = ",nosuid,nodev" + ("" if mount_path in programs else ",noexec")
        name = names.scratch(service.namespace, service.name, mount_path)
        volumes.append(PersistentVolume(name, owned=True, instead_of=_source(service, mount_path, installation)))
        mounts.claim(name, mount_path, read_only=False, owned=True, options=options)
    for path in spec.storage.host_paths:
        mounts.host_path(path.path, path.mount_path, read_only=path.read_only, kind="")
    model = signal = None
    if spec.inference is not None:
        model = f"{installation.models_dir}/{spec.inference.model.file}"
        inside = f"{inference.MODEL_DIRECTORY}/{spec.inference.model.file}"
        mounts.host_path(model, inside, read_only=True, kind="File")
        signal = f"{installation.runtime_dir}/signals/{names.pod(service.namespace, service.name)}"
        mounts.host_path(signal, inference.SIGNAL_DIRECTORY, read_only=True)
    variables = {e.name: e.value for e in spec.env} | inference.environment(spec, installation.cores)
    container: dict[str, Any] = {"name": names.CONTAINER, "image": spec.image, "imagePullPolicy": "IfNotPresent"}
    optional = {
        "command": list(spec.command),
        "args": list(spec.args),
        "env": [{"name": k, "value": v} for k, v in variables.items()],
        "ports": _ports(service),
        "resources": _resources(service),
        "volumeMounts": mounts.mounts,
    }
    container |= {key: value for key, value in optional.items() if value}
    container["securityContext"] = security.container(spec.security)
    first = [_init(service, init, mounts.mounts) for init in spec.init_containers]
    network = NetworkAttachment(None, mtu=MTU)
    if spec.network.mode == "Namespace":
        aliases = tuple(names.aliases(service.namespace, service.name))
        network = NetworkAttachment(names.network(service.namespace), aliases, MTU)
    body = {
        # No restart by Podman: it has no back-off (19 restarts in 1.2 s); the operator starts it again.
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        **({"initContainers": first} if first else {}),
        "containers": [container],
        "volumes": mounts.volumes,
    }
    annotations = security.annotations(spec.security)
    # Without the sizes of tmpfs: these are changed while the pod runs.
    rest = [repr(replace(d, size=0)) for d in directories], [repr(v) for v in volumes], repr(network)
    digest = _digest(installation.key, [body, annotations, *rest, *sorted(spec.resources.cpus)])
    labels = {
        "app.kubernetes.io/name": service.name,
        "app.kubernetes.io/part-of": "xnai",
        names.LABEL_MANAGED: names.MANAGER,
        names.LABEL_INSTALLATION: installation.installation,
        names.LABEL_NAMESPACE: service.namespace,
        names.LABEL_SERVICE: service.name,
        names.LABEL_UID: service.uid,
        names.LABEL_HASH: digest,
    }
    labels |= {names.LABEL_FALLBACK: "true"} if on_disk else {}
    labels |= {names.LABEL_REDUCED: "true"} if reduced else {}
    labels |= {names.LABEL_ALLOCATION: allocation.to_text()} if allocation is not None else {}
    metadata: dict[str, Any] = {"name": names.pod(service.namespace, service.name), "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    return RenderedPod(
        namespace=service.namespace,
        service=service.name,
        uid=service.uid,
        document={"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body},
        hash=digest,
        image=spec.image,
        tmpfs=directories,
        files=files,
        volumes=tuple(volumes),
        network=network,
        security=spec.security,
        model_file=model,
        signal=signal,
        cpus=spec.resources.cpus,
        init_images=tuple(init["image"] for init in first),
    )
