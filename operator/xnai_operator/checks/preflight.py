"""What must hold before a service may start. Each check sees one service among all and returns the first fault.

The order matters: what is wrong in the resource itself comes before what is missing around it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from xnai_operator.api import images
from xnai_operator.api.conditions import Reason
from xnai_operator.api.contents import Contents
from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.quantity import MI, to_bytes, to_cores
from xnai_operator.api.resources import XnaiService, key_of
from xnai_operator.api.xnaiservice import VULKAN_DEVICE, TmpfsMount
from xnai_operator.memory.demand import Demand, demand
from xnai_operator.memory.gguf_header import ModelFile, ModelHeader
from xnai_operator.memory.importance import dependency_cycle
from xnai_operator.memory.model_fetch import ModelFetch, ModelState
from xnai_operator.memory.model_size import cache_type_fault
from xnai_operator.render import names
from xnai_operator.tmpfs.mounts import normalise_path, other_paths


@dataclass(frozen=True)
class Input:
    """One service and what surrounds it. `services` by key (`namespace.name`), the service included. `held_ports`: the
    ports of the machine that each pod has, by the key of its service. `port_faults`, `path_faults`: a port or a path of
    the machine that cannot be used -> why."""

    service: XnaiService
    services: Mapping[str, XnaiService]
    tmpfs: list[TmpfsMount]
    contents: Contents
    images: Mapping[str, str]
    models: Mapping[str, ModelState]
    volumes: frozenset[str]
    gpus: frozenset[str] = frozenset()
    cpus: frozenset[int] = frozenset()
    cores: int = 1
    held_ports: Mapping[str, frozenset[HostPort]] = field(default_factory=dict)
    port_faults: Mapping[HostPort, str] = field(default_factory=dict)
    path_faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Violation:
    """`permanent`: only an edit of the resource mends it."""

    reason: Reason
    message: str
    permanent: bool


Check = Callable[[Input], Violation | None]


def _wrong(reason: Reason, message: str) -> Violation:
    return Violation(reason, message, permanent=True)


def _missing(reason: Reason, message: str) -> Violation:
    return Violation(reason, message, permanent=False)


def _used_once(path: str, given: list[str]) -> Violation | None:
    """The names of a list of the resource, in its order."""
    for index, name in enumerate(given):
        if name in given[:index]:
            return _wrong(Reason.SPEC_INVALID, f"{path}[{index}].name: {name} is used twice")
    return None


def mount_paths(given: Input) -> Violation | None:
    """A path is mounted once, and nothing is mounted below a tmpfs or a persistent volume."""
    tmpfs = [normalise_path(mount.mount_path) for mount in given.tmpfs]
    others = [normalise_path(path) for path in other_paths(given.service)]
    seen: set[str] = set()
    for path in tmpfs + others:
        if path in seen:
            return _wrong(Reason.MOUNT_PATH_DUPLICATE, f"{path} is mounted twice; remove one of the mounts")
        seen.add(path)
    volumes = {normalise_path(volume.mount_path) for volume in given.service.spec.storage.volumes}
    for outer in sorted(volumes):
        for inner in sorted(seen):
            if inner.startswith(outer.rstrip("/") + "/"):
                return _wrong(
                    Reason.MOUNT_PATH_NESTED,
                    f"{inner} lies inside the persistent volume at {outer}: its content would hide there; "
                    "mount one of them elsewhere",
                )
    return None


def own_ports(given: Input) -> Violation | None:
    """A port name and a host port are used once in a service."""
    ports = given.service.spec.ports
    if twice := _used_once("spec.ports", [port.name for port in ports]):
        return twice
    for index, port in enumerate(ports):
        for earlier in ports[:index]:
            if port.published and earlier.published and port.published.overlaps(earlier.published):
                return _wrong(
                    Reason.HOST_PORT_CONFLICT,
                    f"spec.ports[{index}].hostPort: {port.published.text} is used twice, also by port {earlier.name}; "
                    "choose another",
                )
    return None


def _age(service: XnaiService) -> tuple[str, str]:
    return (service.created, service.key)


def host_ports(given: Input) -> Violation | None:
    """A host port belongs to the service whose pod has it; while no pod has it, to the oldest service that asks."""
    own = given.held_ports.get(given.service.key, frozenset())
    for index, port in enumerate(given.service.spec.ports):
        wanted = port.published
        if wanted is None or wanted in own:
            continue
        path = f"spec.ports[{index}].hostPort: {wanted.text}"
        held = [key for key, ports in given.held_ports.items() if _any_overlaps(ports, wanted)]
        for other in given.services.values():
            if other.key == given.service.key or (held and other.key not in held):
                continue
            asks = _any_overlaps([p.published for p in other.spec.ports], wanted)
            if asks and (held or _age(other) < _age(given.service)):
                taken = f"is taken by XnaiService {other.namespace}/{other.name}; choose another"
                return _wrong(Reason.HOST_PORT_CONFLICT, f"{path} {taken}")
        if others := [key for key in held if key != given.service.key]:
            return _missing(Reason.HOST_PORT_UNUSABLE, f"{path} is still in use by pod {others[0]}")
        if fault := given.port_faults.get(wanted):
            return _missing(Reason.HOST_PORT_UNUSABLE, f"{path} {fault}")
    return None


def _any_overlaps(ports: Iterable[HostPort | None], wanted: HostPort) -> bool:
    return any(port is not None and port.overlaps(wanted) for port in ports)


def host_paths(given: Input) -> Violation | None:
    """The paths of the host are there."""
    for index, mount in enumerate(given.service.spec.storage.host_paths):
        if fault := given.path_faults.get(mount.path):
            return _missing(
                Reason.HOST_PATH_MISSING,
                f"spec.storage.hostPaths[{index}].path: {mount.path}: {fault}; create it, or correct the path",
            )
    return None


def dependencies(given: Input) -> Violation | None:
    """Dependencies exist in the namespace and form no cycle."""
    start = given.service
    if cycle := dependency_cycle(start, given.services):
        return _wrong(
            Reason.DEPENDENCY_CYCLE,
            f"spec.dependsOn: {' -> '.join(cycle)} is a cycle; remove one dependency",
        )
    for index, name in enumerate(start.spec.depends_on):
        if key_of(start.namespace, name) not in given.services:
            return _missing(
                Reason.DEPENDENCY_MISSING,
                f"spec.dependsOn[{index}]: there is no XnaiService {name} in namespace {start.namespace}; "
                "apply it or remove the dependency",
            )
    return None


def files(given: Input) -> Violation | None:
    """Every ConfigMap and Secret named exists and has the keys named."""
    storage = given.service.spec.storage
    groups = (
        ("config", "ConfigMap", Reason.CONFIG_MAP_MISSING, storage.config),
        ("secrets", "Secret", Reason.SECRET_MISSING, storage.secrets),
    )
    for listed, kind, reason, sources in groups:
        for index, source in enumerate(sources):
            path = f"spec.storage.{listed}[{index}]"
            content = given.contents.get((kind, source.name))
            if content is None:
                where = f"namespace {given.service.namespace}"
                return _missing(reason, f"{path}.name: there is no {kind} {source.name} in {where}; create it")
            for key in source.keys:
                if key not in content:
                    return _missing(reason, f"{path}.keys: {kind} {source.name} has no key {key}; add it")
    return None


def shared_volumes(given: Input) -> Violation | None:
    """A volume of another service is declared there."""
    service = given.service
    for index, volume in enumerate(service.spec.storage.volumes):
        if volume.service is None or volume.service == service.name:
            continue
        path = f"spec.storage.volumes[{index}]"
        owner = given.services.get(key_of(service.namespace, volume.service))
        if owner is None or not any(
            v.name == volume.name and v.service in {None, owner.name} for v in owner.spec.storage.volumes
        ):
            return _missing(
                Reason.VOLUME_MISSING,
                f"{path}: XnaiService {volume.service} declares no volume {volume.name}; declare it there",
            )
        if names.volume(service.namespace, volume.service, volume.name) not in given.volumes:
            return _missing(Reason.VOLUME_MISSING, f"{path}: waits for {volume.service} to start and make the volume")
    return None


def image(given: Input) -> Violation | None:
    """The images are on the machine."""
    spec = given.service.spec
    named = [
        (f"spec.initContainers[{i}].image", init.image or spec.image) for i, init in enumerate(spec.init_containers)
    ]
    for path, name in [("spec.image", spec.image), *named]:
        if images.image_id(given.images, name) is None:
            return _missing(Reason.IMAGE_MISSING, f"{path}: {images.missing(name)}")
    return None


def init_containers(given: Input) -> Violation | None:
    """Their names are used once."""
    return _used_once("spec.initContainers", [init.name for init in given.service.spec.init_containers])


def model(given: Input) -> Violation | None:
    """The model file is on the machine, or is fetched from its url."""
    inference = given.service.spec.inference
    if inference is None:
        return None
    path, file = "spec.inference.model", inference.model.file
    found = given.models.get(file)
    if found is None and inference.model.url is None:
        message = f"{file} is not in the models directory; `xnai doctor` prints where it belongs"
        return _missing(Reason.MODEL_MISSING, f"{path}.file: {message}")
    if found is None:
        return _missing(Reason.MODEL_FETCHING, f"{path}.url: {file} is not here yet; the operator fetches it")
    if isinstance(found, ModelFetch):
        return _fetched(f"{path}.url: {file}", found)
    if isinstance(found, str):
        return _missing(Reason.MODEL_INVALID, f"{path}.file: {file}: {found}")
    return _model_file(given.service, found.file)


def _model_file(service: XnaiService, found: ModelFile | None) -> Violation | None:
    """The user of the container can read the model file, and the file has the digest of the resource."""
    inference = service.spec.inference
    if inference is None or found is None:
        return None
    file, wanted = inference.model.file, inference.model.sha256
    # With KeepId the container's user is the operator's own, which has read the header.
    if not found.for_all_users and service.spec.security.user_namespace != "KeepId":
        message = f"{file}: the user of the container cannot read it; `chmod a+r` it"
        return _missing(Reason.MODEL_INVALID, f"spec.inference.model.file: {message}")
    if wanted is None or found.sha256 == wanted:
        return None
    path = "spec.inference.model.sha256"
    if found.sha256 is None:
        return _missing(Reason.MODEL_VERIFYING, f"{path}: the SHA-256 of {file} is being computed")
    remedy = (
        "correct sha256, or replace the file" if inference.model.url is None else "correct sha256, or delete the file"
    )
    return _missing(Reason.MODEL_INVALID, f"{path}: {file} has the SHA-256 {found.sha256}, not {wanted}; {remedy}")


def _fetched(what: str, fetch: ModelFetch) -> Violation:
    if fetch.fault:
        message = f"{what}: fetching failed: {fetch.fault}; the operator tries again, with a growing delay"
        return _missing(Reason.MODEL_MISSING, message)
    share = "" if fetch.total is None else f" of {fetch.total >> 20}"
    return _missing(Reason.MODEL_FETCHING, f"{what} is being fetched: {fetch.done >> 20}{share} MiB")


def device(given: Input) -> Violation | None:
    """The GPU is there."""
    inference = given.service.spec.inference
    if inference is None or inference.device == "cpu" or VULKAN_DEVICE in given.gpus:
        return None
    return _missing(
        Reason.DEVICE_MISSING,
        f"spec.inference.device: this machine has no {VULKAN_DEVICE}; use cpu, or install its driver",
    )


def cache_type(given: Input) -> Violation | None:
    """llama.cpp can make a cache of the declared type for the model."""
    inference = given.service.spec.inference
    found = given.models.get(inference.model.file) if inference is not None else None
    if inference is None or not isinstance(found, ModelHeader):
        return None
    fault = cache_type_fault(found, inference.kv_cache_type)
    return None if fault is None else _wrong(Reason.SPEC_INVALID, f"spec.inference.kvCacheType: {fault}")


def threads(given: Input) -> Violation | None:
    """Threads of inference have a CPU each: those that share one wait for each other (measured 84 -> 42 tok/s)."""
    inference, limit = given.service.spec.inference, given.service.spec.resources.limits.cpu
    if inference is None or inference.threads is None:
        return None
    bounds = [(given.cores, "this machine's physical cores")]
    if limit is not None:
        bounds.append((to_cores(limit), f"spec.resources.limits.cpu ({limit}), rounded up"))
    if own := given.service.spec.resources.cpus:
        bounds.append((len(own), "the CPUs in spec.resources.cpuSet"))
    most, what = min(bounds)
    if inference.threads <= most:
        return None
    return _wrong(
        Reason.THREADS_EXCEED_CPUS,
        f"spec.inference.threads: {inference.threads} are more than {most}, {what}; lower it, or leave it out",
    )


def cpu_set(given: Input) -> Violation | None:
    """The CPUs exist and are no older service's."""
    path, own = "spec.resources.cpuSet", given.service.spec.resources.cpus
    if not own:
        return None
    if absent := sorted(own - given.cpus):
        return _wrong(Reason.SPEC_INVALID, f"{path}: this machine has no CPU {absent[0]}; it has {len(given.cpus)}")
    for other in given.services.values():
        if other.key == given.service.key or _age(other) > _age(given.service):
            continue
        if shared := sorted(own & other.spec.resources.cpus):
            return _wrong(
                Reason.CPU_SET_CONFLICT,
                f"{path}: CPU {shared[0]} is taken by XnaiService {other.namespace}/{other.name}; choose another",
            )
    return None


def _against_limit(given: Input) -> tuple[int, Demand, int] | None:
    """The memory limit, what is needed, and its part for processes as far as that is known; None without a limit."""
    limit, inference = given.service.spec.resources.limits.memory, given.service.spec.inference
    if limit is None:
        return None
    found = given.models.get(inference.model.file) if inference is not None else None
    header = found if isinstance(found, ModelHeader) else None
    need = demand(given.service, given.tmpfs, header)
    return to_bytes(limit), need, need.request if given.service.spec.resources.requests.memory or header else 0


def memory_limit(given: Input) -> Violation | None:
    """The limit holds what the service needs: below it the pod is killed, or reads its weights again and again."""
    found = _against_limit(given)
    if found is None:
        return None
    limit, need, request = found
    if (total := request + need.tmpfs + need.mapped) > limit:
        return _wrong(
            Reason.LIMIT_TOO_SMALL,
            f"spec.resources.limits.memory: {given.service.spec.resources.limits.memory} is less than the "
            f"{total >> 20} MiB the service needs "
            f"({request >> 20} processes + {need.tmpfs >> 20} tmpfs + {need.mapped >> 20} weights); raise it",
        )
    return None


def tight_limit(given: Input) -> str | None:
    """What to say of a limit that holds what the service needs with less than a tenth to spare: the kernel then takes
    the pages of its program, and of its weights, again and again."""
    found = _against_limit(given)
    if found is None or not found[2]:
        return None
    limit, need, request = found
    text = given.service.spec.resources.limits.memory
    wanted = (request + need.tmpfs + need.mapped) * 11 // 10
    if limit >= wanted:
        return None
    return (
        f"spec.resources.limits.memory: {text} leaves less than a tenth above what the service needs; "
        f"{-(-wanted // MI)}Mi would do"
    )


CHAIN: tuple[Check, ...] = (
    mount_paths, init_containers, own_ports, host_ports, dependencies, host_paths, files, shared_volumes, image, model,
    cache_type,
    device, threads, cpu_set, memory_limit,
)  # fmt: skip


def first_violation(given: Input, chain: tuple[Check, ...] = CHAIN) -> Violation | None:
    """The first check that does not hold."""
    return next((fault for check in chain if (fault := check(given)) is not None), None)
