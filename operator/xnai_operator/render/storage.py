"""The mounts of a pod: tmpfs, files of ConfigMaps and Secrets, volumes, host paths, the model.

tmpfs and files are directories that the back end mounts on the host beforehand and the pod gets as hostPath:
no released Podman enforces `emptyDir.sizeLimit`, a ConfigMap volume stays on disk as plain text and can be turned
against the host (CVE-2025-9566), and a tmpfs volume loses its mode when the pod starts again.
"""

from dataclasses import dataclass
from typing import Any

from xnai_operator.api.contents import Contents
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import FileSource, TmpfsMount
from xnai_operator.render import inference, names
from xnai_operator.render.digest import digest
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.pod import FileDirectory, PersistentVolume, TmpfsDirectory
from xnai_operator.tmpfs.mounts import size_of


@dataclass(frozen=True)
class Mount:
    """One entry of `volumes` (`source`, without its name) and the `volumeMounts` that belongs to it."""

    source: dict[str, Any]
    path: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Everything mounted. `tmpfs`, `files` and `volumes` are what the back end makes beforehand. `mounts`: the other
    mounts, `config` and `secrets` those of ConfigMaps and Secrets."""

    tmpfs: tuple[TmpfsDirectory, ...]
    files: tuple[FileDirectory, ...]
    volumes: tuple[PersistentVolume, ...]
    tmpfs_mounts: list[Mount]
    config: list[Mount]
    secrets: list[Mount]
    other_mounts: list[Mount]
    model_file: str | None
    signal: str | None

    @property
    def mounts(self) -> list[Mount]:
        """All mounts, in the order of the pod document."""
        return [*self.tmpfs_mounts, *self.config, *self.secrets, *self.other_mounts]

    def document_volumes(self) -> list[dict[str, Any]]:
        """The pod's `volumes`."""
        return [{"name": f"v{index}", **mount.source} for index, mount in enumerate(self.mounts)]

    def document_mounts(self) -> list[dict[str, Any]]:
        """The `volumeMounts` of each container."""
        return [
            {"name": f"v{index}", "mountPath": mount.path} | ({"readOnly": True} if mount.read_only else {})
            for index, mount in enumerate(self.mounts)
        ]


def storage(intent: PodIntent, installation: Installation) -> Storage:
    """The mounts of a pod. Raises KeyError when a ConfigMap, a Secret or a key is missing."""
    service = intent.service
    in_memory = [mount for mount in intent.tmpfs if mount.mount_path not in intent.variant.on_disk]
    tmpfs = tuple(_tmpfs(service, mount, installation) for mount in in_memory)
    config = _files(service, "ConfigMap", service.spec.storage.config, intent.contents, installation)
    secrets = _files(service, "Secret", service.spec.storage.secrets, intent.contents, installation)
    volumes, mounts = _volumes(service)
    scratch, scratch_mounts = _scratch(intent, installation)
    host_paths = [
        _host_path(path.path, path.mount_path, read_only=path.read_only, kind="")
        for path in service.spec.storage.host_paths
    ]
    model, signal = _inference(service, installation)
    return Storage(
        tmpfs=tmpfs,
        files=(*config, *secrets),
        volumes=(*volumes, *scratch),
        tmpfs_mounts=[_host_path(directory.source, directory.mount_path, read_only=False) for directory in tmpfs],
        config=[_host_path(directory.source, directory.mount_path, read_only=True) for directory in config],
        secrets=[_host_path(directory.source, directory.mount_path, read_only=True) for directory in secrets],
        other_mounts=[*mounts, *scratch_mounts, *host_paths, *_inference_mounts(service, model, signal)],
        model_file=model,
        signal=signal,
    )


def _host_path(source: str, path: str, *, read_only: bool, kind: str = "Directory") -> Mount:
    return Mount({"hostPath": {"path": source, "type": kind}}, path, read_only)


def _claim(volume: PersistentVolume, path: str, *, read_only: bool, options: str = "") -> Mount:
    # `U` gives the volume to the container's user; without it, Podman copies the image's directory and its owner into
    # the volume at first use. Only the owner of a volume has `U`: two users would take the volume from each other.
    owned = volume.owned and not read_only
    path += f":U{options}" if owned else ""
    return Mount({"persistentVolumeClaim": {"claimName": volume.name}}, path, read_only)


def _escaped_path(path: str) -> str:
    """A path as part of a name, escaped as in RFC 6901, so that no two paths collide."""
    return path.strip("/").replace("~", "~0").replace("/", "~1")


def _tmpfs_source(service: XnaiService, mount_path: str, installation: Installation) -> str:
    """The host's directory of the tmpfs at `mount_path`."""
    name = names.volume(service.namespace, service.name, _escaped_path(mount_path))
    return f"{installation.runtime_dir}/tmpfs/{name}"


def _tmpfs(service: XnaiService, mount: TmpfsMount, installation: Installation) -> TmpfsDirectory:
    security = service.spec.security
    return TmpfsDirectory(
        source=_tmpfs_source(service, mount.mount_path, installation),
        mount_path=mount.mount_path,
        size=size_of(mount),
        mode=mount.mode,
        uid=security.run_as_user if mount.owner is None else mount.owner,
        gid=security.run_as_group if mount.group is None else mount.group,
        exec=mount.exec,
    )


def _files(
    service: XnaiService, kind: str, sources: list[FileSource], contents: Contents, installation: Installation
) -> list[FileDirectory]:
    """A directory for each ConfigMap or Secret. Its name holds a digest of the content, so another content is another
    directory, which the back end never writes onto the old one."""
    directories = []
    for source in sources:
        available = contents[kind, source.name]
        files = {key: available[key] for key in (source.keys or sorted(available))}
        content = digest(installation.key, {key: value.hex() for key, value in files.items()})
        name = names.volume(service.namespace, service.name, f"{kind.lower()}.{source.name}.{content}")
        directories.append(
            FileDirectory(
                source=f"{installation.runtime_dir}/files/{name}",
                mount_path=source.mount_path,
                files=files,
                uid=service.spec.security.run_as_user,
                gid=service.spec.security.run_as_group,
                secret=kind == "Secret",
            )
        )
    return directories


def _volumes(service: XnaiService) -> tuple[list[PersistentVolume], list[Mount]]:
    """The persistent volumes and their mounts."""
    volumes, mounts = [], []
    for declared in service.spec.storage.volumes:
        name = names.volume(service.namespace, declared.service or service.name, declared.name)
        volume = PersistentVolume(name, owned=declared.service in {None, service.name})
        volumes.append(volume)
        mounts.append(_claim(volume, declared.mount_path, read_only=declared.read_only))
    return volumes, mounts


def _scratch(intent: PodIntent, installation: Installation) -> tuple[list[PersistentVolume], list[Mount]]:
    """The volumes in the place of tmpfs that are on disk, with the mount flags of the tmpfs."""
    service, volumes, mounts = intent.service, [], []
    with_exec = {mount.mount_path for mount in intent.tmpfs if mount.exec}
    for path in sorted(intent.variant.on_disk):
        name = names.scratch(service.namespace, service.name, path)
        volume = PersistentVolume(name, owned=True, instead_of=_tmpfs_source(service, path, installation))
        volumes.append(volume)
        options = ",nosuid,nodev" + ("" if path in with_exec else ",noexec")
        mounts.append(_claim(volume, path, read_only=False, options=options))
    return volumes, mounts


def _inference(service: XnaiService, installation: Installation) -> tuple[str | None, str | None]:
    """The host's paths of the model file and of the pressure signal's directory; None for a service that does no
    inference."""
    if service.spec.inference is None:
        return None, None
    model = f"{installation.models_dir}/{service.spec.inference.model.file}"
    return model, f"{installation.runtime_dir}/signals/{names.pod(service.namespace, service.name)}"


def _inference_mounts(service: XnaiService, model: str | None, signal: str | None) -> list[Mount]:
    if service.spec.inference is None or model is None or signal is None:
        return []
    inside = f"{inference.MODEL_DIRECTORY}/{service.spec.inference.model.file}"
    return [
        _host_path(model, inside, read_only=True, kind="File"),
        _host_path(signal, inference.SIGNAL_DIRECTORY, read_only=True),
    ]
