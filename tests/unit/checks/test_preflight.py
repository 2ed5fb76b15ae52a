"""Each check: what it refuses, and that the message names the field."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.memory.headers import GEMMA
from xnai_operator.api.conditions import Reason
from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.resources import XnaiService
from xnai_operator.checks.preflight import Input, Violation, first_violation, tight_limit
from xnai_operator.memory.gguf_header import ModelFile, ModelHeader
from xnai_operator.memory.model_fetch import ModelFetch
from xnai_operator.tmpfs.mounts import merged


def given(service: XnaiService, *others: XnaiService, **around: Any) -> Input:
    surroundings: dict[str, Any] = {
        "contents": {("Secret", "redis"): {"password": b"x"}},
        "images": {"localhost/app:1": "sha256:1"},
        "models": {
            "tiny.gguf": GEMMA,
            "broken.gguf": "the file ends at byte 7",
            "fetched.gguf": ModelFetch(3 << 20, 8 << 20),
            "refused.gguf": ModelFetch(0, None, "the server answers HTTP 404"),
        },
        "volumes": frozenset({"default.crawler.raw"}),
    }
    services = {s.key: s for s in (service, *others)}
    return Input(service, services, merged(service, ()), **(surroundings | around))


def check(service: XnaiService, *others: XnaiService, **around: Any) -> Violation | None:
    return first_violation(given(service, *others, **around))


def assert_told(fault: Violation | None, reason: Reason, text: str | None) -> None:
    """There is a fault of this reason whose message has the text; with None there is no fault."""
    if text is None:
        assert fault is None
    else:
        assert fault is not None
        assert fault.reason is reason
        assert text in fault.message


TMPFS = {"mountPath": "/data/tmp", "size": "1Mi"}


@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        pytest.param({"storage": {"tmpfs": [TMPFS], "volumes": [{"name": "d", "mountPath": "/data/tmp/"}]}}, Reason.MOUNT_PATH_DUPLICATE, "/data/tmp", id="two mounts at one path"),
        pytest.param({"storage": {"tmpfs": [TMPFS], "volumes": [{"name": "d", "mountPath": "/data"}]}}, Reason.MOUNT_PATH_NESTED, "/data/tmp", id="a tmpfs in a volume"),
        pytest.param({"storage": {"tmpfs": [{"mountPath": "/var/run", "size": "1Mi"}], "config": [{"name": "c", "mountPath": "/run"}]}}, Reason.MOUNT_PATH_DUPLICATE, "/run", id="two mounts at one path behind a link"),
        pytest.param({"ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]}, Reason.SPEC_INVALID, "spec.ports[1].name", id="two ports of one name"),
        pytest.param({"initContainers": [{"name": "a"}, {"name": "a"}]}, Reason.SPEC_INVALID, "spec.initContainers[1].name", id="two init containers of one name"),
        pytest.param({"initContainers": [{"name": "a", "image": "none:1"}]}, Reason.IMAGE_MISSING, "spec.initContainers[0].image: none:1", id="no image of an init container"),
        pytest.param({"dependsOn": ["redis"]}, Reason.DEPENDENCY_CYCLE, "redis -> redis", id="depends on itself"),
        pytest.param({"dependsOn": ["nobody"]}, Reason.DEPENDENCY_MISSING, "spec.dependsOn[0]", id="no dependency"),
        pytest.param({"storage": {"secrets": [{"name": "none", "mountPath": "/s"}]}}, Reason.SECRET_MISSING, "spec.storage.secrets[0]", id="no Secret"),
        pytest.param({"storage": {"secrets": [{"name": "redis", "mountPath": "/s", "keys": ["k"]}]}}, Reason.SECRET_MISSING, "no key k", id="no key in the Secret"),
        pytest.param({"storage": {"config": [{"name": "none", "mountPath": "/s"}]}}, Reason.CONFIG_MAP_MISSING, "spec.storage.config[0]", id="no ConfigMap"),
        pytest.param({"storage": {"volumes": [{"name": "raw", "service": "crawler", "mountPath": "/r"}]}}, Reason.VOLUME_MISSING, "crawler", id="no volume of another service"),
        pytest.param({"image": "localhost/none:1"}, Reason.IMAGE_MISSING, "spec.image: localhost/none:1 is not on this machine; build it", id="no image"),
        pytest.param({"inference": {"model": {"file": "big.gguf"}}}, Reason.MODEL_MISSING, "big.gguf", id="no model"),
        pytest.param({"inference": {"model": {"file": "broken.gguf"}}}, Reason.MODEL_INVALID, "broken.gguf: the file ends at byte 7", id="a model that is cut short"),
        pytest.param({"inference": {"model": {"file": "tiny.gguf"}}, "resources": {"limits": {"memory": "256Mi"}}}, Reason.LIMIT_TOO_SMALL, "256Mi is less than", id="a limit below the model"),
        pytest.param({"storage": {"tmpfs": [{"mountPath": "/c", "size": "64Mi"}]}, "resources": {"limits": {"memory": "64Mi"}}}, Reason.LIMIT_TOO_SMALL, "128 tmpfs", id="a limit below the tmpfs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(spec: dict[str, Any], reason: Reason, text: str) -> None:
    fault = check(make_service(**spec))
    assert fault is not None
    assert (fault.reason, text in fault.message) == (reason, True)


FETCHED = {"url": "http://models/a.gguf", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("file", "reason", "text"),
    [
        pytest.param("new.gguf", Reason.MODEL_FETCHING, "new.gguf is not here yet", id="not begun"),
        pytest.param("fetched.gguf", Reason.MODEL_FETCHING, "being fetched: 3 of 8 MiB", id="under way"),
        pytest.param("refused.gguf", Reason.MODEL_MISSING, "HTTP 404; the operator tries again", id="failed"),
    ],
)
def test_a_model_with_a_url_says_how_far_its_fetch_is(file: str, reason: Reason, text: str) -> None:
    fault = check(make_service(inference={"model": {"file": file} | FETCHED}))
    assert fault is not None
    assert (fault.reason, text in fault.message, fault.permanent) == (reason, True, False)


DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("found", "spec", "reason"),
    [
        pytest.param(ModelFile(), {}, None, id="no digest declared"),
        pytest.param(ModelFile(sha256=DIGEST), {"sha256": DIGEST}, None, id="the digest declared"),
        pytest.param(ModelFile(sha256=DIGEST), {"sha256": "0" * 64}, Reason.MODEL_INVALID, id="another digest"),
        pytest.param(ModelFile(), {"sha256": DIGEST}, Reason.MODEL_VERIFYING, id="digest not computed"),
        pytest.param(ModelFile(for_all_users=False), {}, Reason.MODEL_INVALID, id="mode 0600"),
        pytest.param(None, {"sha256": DIGEST}, None, id="header of no file"),
    ],
)
def test_a_model_file_is_for_the_user_and_has_its_digest(
    found: ModelFile | None, spec: dict[str, str], reason: Reason | None
) -> None:
    models = {"tiny.gguf": replace(GEMMA, file=found)}
    fault = check(make_service(inference={"model": {"file": "tiny.gguf"} | spec}), models=models)
    assert (fault and fault.reason, bool(fault and fault.permanent)) == (reason, False)


def test_the_operators_own_user_reads_a_private_model() -> None:
    models = {"tiny.gguf": replace(GEMMA, file=ModelFile(for_all_users=False))}
    inference = {"model": {"file": "tiny.gguf"}}
    assert check(make_service(inference=inference, security={"userNamespace": "KeepId"}), models=models) is None


def test_a_declared_cache_type_is_one_that_the_model_can_have() -> None:
    narrow = ModelHeader({**GEMMA.metadata, "gemma3.attention.key_length": 80}, GEMMA.lengths, GEMMA.tensors)
    service = make_service(inference={"model": {"file": "m.gguf"}, "kvCacheType": "q8_0"})
    fault = check(service, models={"m.gguf": narrow})
    assert fault is not None
    assert (fault.reason, "spec.inference.kvCacheType: q8_0" in fault.message) == (Reason.SPEC_INVALID, True)
    assert check(service, models={"m.gguf": GEMMA}) is None


def test_a_cycle_over_several_services_is_found() -> None:
    a, b, c = make_service("a", dependsOn=["b"]), make_service("b", dependsOn=["c"]), make_service("c", dependsOn=["a"])
    fault = check(a, b, c)
    assert fault is not None
    assert (fault.reason, "a -> b -> c -> a" in fault.message) == (Reason.DEPENDENCY_CYCLE, True)


def test_a_service_before_a_cycle_is_not_blamed_for_it() -> None:
    fault = check(make_service("x", dependsOn=["a"]), make_service("a", dependsOn=["a"]))
    assert fault is None


def port(number: int = 8000, address: str = "127.0.0.1", protocol: str = "TCP", name: str = "http") -> dict[str, Any]:
    return {"name": name, "containerPort": 80, "hostPort": number, "hostIP": address, "protocol": protocol}


@pytest.mark.parametrize(
    ("older", "younger", "conflict"),
    [
        pytest.param(port(), port(), True, id="one address"),
        pytest.param(port(), port(address=""), True, id="an empty address is the default"),
        pytest.param(port(), port(address="0.0.0.0"), True, id="all addresses hold each"),
        pytest.param(port(address="::"), port(), True, id="all addresses of both families"),
        pytest.param(port(), port(address="127.0.0.2"), False, id="two addresses"),
        pytest.param(port(address="0.0.0.0"), port(address="::1"), False, id="two families"),
        pytest.param(port(), port(protocol="UDP"), False, id="two protocols"),
        pytest.param(port(), port(8001), False, id="two ports"),
    ],
)
def test_the_older_of_two_services_gets_a_free_host_port(
    older: dict[str, Any], younger: dict[str, Any], conflict: bool
) -> None:
    old = make_service("old", "2026-01-01T00:00:00Z", ports=[older])
    new = make_service("new", "2026-01-02T00:00:00Z", ports=[younger])
    assert check(old, new) is None
    assert_told(check(new, old), Reason.HOST_PORT_CONFLICT, "default/old" if conflict else None)


def test_a_service_keeps_the_host_port_of_its_pod_from_an_older_one_that_asks_later() -> None:
    old = make_service("old", "2026-01-01T00:00:00Z", ports=[port()])
    new = make_service("new", "2026-01-02T00:00:00Z", ports=[port()])
    held = {"default.new": frozenset({HostPort("127.0.0.1", 8000, "TCP")})}
    assert check(new, old, held_ports=held) is None
    assert_told(check(old, new, held_ports=held), Reason.HOST_PORT_CONFLICT, "taken by XnaiService default/new")


def test_a_host_port_of_a_pod_that_gives_it_up_is_waited_for() -> None:
    held = {"default.gone": frozenset({HostPort("0.0.0.0", 8000, "TCP")})}
    fault = check(make_service(ports=[port()]), held_ports=held)
    assert_told(fault, Reason.HOST_PORT_UNUSABLE, "127.0.0.1:8000 is still in use by pod default.gone")


def test_a_host_port_used_twice_in_one_service_is_refused() -> None:
    fault = check(make_service(ports=[port(), port(address="0.0.0.0", name="all")]))
    assert_told(
        fault, Reason.HOST_PORT_CONFLICT, "spec.ports[1].hostPort: 0.0.0.0:8000 is used twice, also by port http"
    )


def test_a_host_port_that_cannot_be_bound_is_named_with_the_cause() -> None:
    faults = {HostPort("::1", 80, "TCP"): "is below 1024"}
    fault = check(make_service(ports=[port(80, "::1")]), port_faults=faults)
    assert_told(fault, Reason.HOST_PORT_UNUSABLE, "spec.ports[0].hostPort: [::1]:80 is below 1024")


def test_a_host_path_that_is_not_there_is_named() -> None:
    storage = {"hostPaths": [{"path": "/srv/none", "mountPath": "/data"}]}
    fault = check(make_service(storage=storage), path_faults={"/srv/none": "is not on this machine"})
    assert_told(fault, Reason.HOST_PATH_MISSING, "spec.storage.hostPaths[0].path: /srv/none: is not on this machine")


@pytest.mark.parametrize("image", ["app:1", "localhost/app:1"])
def test_a_short_image_name_is_found_on_localhost(image: str) -> None:
    assert check(make_service(image=image)) is None


def test_a_volume_of_another_service_is_accepted_once_it_is_made() -> None:
    crawler = make_service("crawler", storage={"volumes": [{"name": "raw", "mountPath": "/raw"}]})
    reader = make_service("reader", storage={"volumes": [{"name": "raw", "service": "crawler", "mountPath": "/raw"}]})
    assert check(reader, crawler) is None
    fault = check(reader, crawler, volumes=frozenset())
    assert fault is not None
    assert fault.permanent is False


@pytest.mark.parametrize(
    ("threads", "resources", "text"),
    [
        pytest.param(4, {}, None, id="as many as cores"),
        pytest.param(5, {}, "5 are more than 4, this machine's physical cores", id="more than cores"),
        pytest.param(2, {"limits": {"cpu": "1500m"}}, None, id="within a limit rounded up"),
        pytest.param(
            2,
            {"limits": {"cpu": "1"}},
            "2 are more than 1, spec.resources.limits.cpu (1), rounded up",
            id="more than the limit",
        ),
        pytest.param(
            2,
            {"limits": {"cpu": "8"}, "cpuSet": "3"},
            "2 are more than 1, the CPUs in spec.resources.cpuSet",
            id="more than the CPUs of cpuSet",
        ),
    ],
)
def test_each_thread_of_inference_has_a_cpu(threads: int, resources: dict[str, Any], text: str | None) -> None:
    inference = {"model": {"file": "tiny.gguf"}, "threads": threads}
    fault = check(make_service(inference=inference, resources=resources), cpus=frozenset(range(8)), cores=4)
    assert_told(fault, Reason.THREADS_EXCEED_CPUS, text)


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        pytest.param(
            {"limits": {"memory": "164Mi"}, "requests": {"memory": "100Mi"}}, "181Mi would do", id="17 MiB below"
        ),
        pytest.param(
            {"limits": {"memory": "180Mi"}, "requests": {"memory": "100Mi"}}, "181Mi would do", id="1 MiB below"
        ),
        pytest.param({"limits": {"memory": "181Mi"}, "requests": {"memory": "100Mi"}}, None, id="enough"),
        pytest.param({"requests": {"memory": "100Mi"}}, None, id="no limit"),
        pytest.param({"limits": {"memory": "100Mi"}}, None, id="no request"),
    ],
)
def test_a_limit_with_little_to_spare_is_told(memory: dict[str, Any], told: str | None) -> None:
    service = make_service(resources=memory)
    said = tight_limit(given(service))
    assert said is None if told is None else told in (said or "")


GPU = "/dev/dri/renderD128"
VULKAN: dict[str, Any] = {"inference": {"model": {"file": "tiny.gguf"}, "device": "vulkan"}}


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [pytest.param(frozenset(), Reason.DEVICE_MISSING, id="no GPU"), pytest.param(frozenset({GPU}), None, id="a GPU")],
)
def test_a_model_on_a_gpu_needs_one(gpus: frozenset[str], reason: Reason | None) -> None:
    fault = check(make_service(**VULKAN), gpus=gpus)
    assert (fault.reason if fault else None) == reason


@pytest.mark.parametrize(
    ("own", "other", "text"),
    [
        pytest.param("0", "1", None, id="different CPUs"),
        pytest.param("0-1", "", None, id="no other service"),
        pytest.param("0-1", "1", "CPU 1 is taken by XnaiService default/older", id="one CPU in both"),
        pytest.param("0,9", "", "this machine has no CPU 9; it has 4", id="no such CPU"),
    ],
)
def test_a_cpu_is_one_service_s(own: str, other: str, text: str | None) -> None:
    older = make_service("older", created="2025-01-01T00:00:00Z", resources={"cpuSet": other} if other else {})
    fault = check(make_service(resources={"cpuSet": own}), older, cpus=frozenset(range(4)))
    assert_told(fault, Reason.CPU_SET_CONFLICT if "taken" in (text or "") else Reason.SPEC_INVALID, text)
