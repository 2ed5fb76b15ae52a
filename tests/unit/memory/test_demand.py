"""How much memory one service needs, and how that is known."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.memory.headers import GEMMA
from xnai_operator.api.quantity import MI
from xnai_operator.api.xnaiservice import VULKAN_DEVICE, TmpfsMount
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.demand import Demand, Source, demand, model_options
from xnai_operator.memory.model_size import ModelOptions, size

TMPFS = [TmpfsMount(mount_path="/a", size="10Mi"), TmpfsMount(mount_path="/b", size="20Mi")]
INFERENCE = {"model": {"file": "m.gguf"}}
ANONYMOUS = size(GEMMA, ModelOptions()).anonymous


@pytest.mark.parametrize(
    ("spec", "request_bytes", "source"),
    [
        pytest.param({"resources": {"requests": {"memory": "100Mi"}}}, 100 * MI, Source.DECLARED, id="request"),
        pytest.param({"resources": {"limits": {"memory": "100Mi"}}}, 70 * MI, Source.LIMIT, id="limit less tmpfs"),
        pytest.param({"resources": {"limits": {"memory": "10Mi"}}}, 0, Source.LIMIT, id="limit below tmpfs"),
        pytest.param({}, 64 * MI, Source.USE, id="nothing declared"),
        pytest.param({"inference": INFERENCE}, ANONYMOUS, Source.DECLARED, id="model"),
        pytest.param(
            {"inference": INFERENCE, "resources": {"limits": {"memory": "9Gi"}}},
            ANONYMOUS,
            Source.DECLARED,
            id="model before limit",
        ),
        pytest.param(
            {"inference": INFERENCE, "resources": {"requests": {"memory": "1Gi"}}},
            1024 * MI,
            Source.DECLARED,
            id="request before model",
        ),
        pytest.param(
            {"resources": {"requests": {"memory": "50Mi"}, "limits": {"memory": "100Mi"}}},
            50 * MI,
            Source.DECLARED,
            id="request before limit",
        ),
    ],
)
def test_the_request_comes_from_the_best_source(spec: dict[str, Any], request_bytes: int, source: Source) -> None:
    found = demand(make_service(**spec), TMPFS, GEMMA)
    assert (found.request, found.source, found.tmpfs) == (request_bytes, source, 30 * MI)


@pytest.mark.parametrize(
    ("high_water", "request_mib"),
    [
        pytest.param(0, 64, id="never ran"),
        pytest.param(10 * MI, 64, id="less than the default"),
        pytest.param(200 * MI, 200, id="more than the default"),
    ],
)
def test_a_service_that_declares_nothing_requests_its_highest_use(high_water: int, request_mib: int) -> None:
    assert demand(make_service(), (), high_water=high_water).request == request_mib * MI


def test_a_declared_request_holds_whatever_the_use() -> None:
    assert demand(make_service(resources={"requests": {"memory": "1Mi"}}), (), high_water=200 * MI).request == MI


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"inference": INFERENCE}, (GEMMA.weights, "m.gguf"), id="sized by its header"),
        pytest.param(
            {"inference": INFERENCE, "resources": {"requests": {"memory": "1Gi"}}}, (0, ""), id="in the request"
        ),
        pytest.param({}, (0, ""), id="no model"),
    ],
)
def test_weights_are_mapped_where_no_request_includes_them(spec: dict[str, Any], expected: tuple[int, str]) -> None:
    found = demand(make_service(**spec), (), GEMMA)
    assert (found.mapped, found.model_file) == expected


@pytest.mark.parametrize(
    ("spec", "device"),
    [
        pytest.param({}, "", id="no model"),
        pytest.param({"inference": INFERENCE}, "", id="cpu"),
        pytest.param({"inference": INFERENCE | {"device": "vulkan"}}, VULKAN_DEVICE, id="vulkan"),
    ],
)
def test_only_vulkan_needs_a_gpu(spec: dict[str, Any], device: str) -> None:
    assert demand(make_service(**spec), ()).device == device


def test_dependencies_are_keys() -> None:
    assert demand(make_service(dependsOn=["a", "b"]), ()).after == {"default.a", "default.b"}


def test_the_model_options_are_the_inference_contract() -> None:
    inference = {
        "model": {"file": "m.gguf"}, "contextSize": 4096, "parallel": 2, "kvCacheType": "q8_0",
        "runtime": "llama-server", "device": "vulkan",
    }  # fmt: skip
    assert model_options(make_service(inference=inference)) == ModelOptions(
        context=4096, slots=2, kv_type="q8_0", runtime="llama-server", device="vulkan"
    )


DEMAND = Demand("a", 0, "1", request=50, tmpfs=30, files=5, mapped=100, model_file="m.gguf", device="gpu")


def test_the_sums_of_a_demand() -> None:
    assert (DEMAND.private_bytes, DEMAND.total) == (85, 185)
    assert DEMAND.requested == Allocation(85, 100, "m.gguf", "gpu")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(Source.DECLARED, (55, False), id="declared"),
        pytest.param(Source.USE, (55, False), id="use"),
        pytest.param(Source.LIMIT, (85, True), id="limit"),
    ],
)
def test_only_a_request_from_the_limit_has_its_tmpfs_in_the_label(source: Source, expected: tuple[int, bool]) -> None:
    found = replace(DEMAND, source=source).without_tmpfs
    assert (found.private_bytes, found.includes_tmpfs) == expected
    assert (found.mapped, found.model_file, found.device) == (100, "m.gguf", "gpu")
