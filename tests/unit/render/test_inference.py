"""The environment variables of the inference contract."""

from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.render import inference

MODEL = {"model": {"file": "m.gguf"}}


@pytest.mark.parametrize(
    ("resources", "asked", "threads"),
    [
        pytest.param({}, None, 4, id="the cores"),
        pytest.param({"limits": {"cpu": "1"}}, None, 1, id="the limit"),
        pytest.param({"limits": {"cpu": "1500m"}}, None, 2, id="the limit rounded up"),
        pytest.param({"limits": {"cpu": "8"}}, None, 4, id="a limit above the cores"),
        pytest.param({"cpuSet": "0-2"}, None, 3, id="the CPU set"),
        pytest.param({"limits": {"cpu": "2"}}, 1, 1, id="as declared"),
    ],
)
def test_threads_follow_the_cpus(resources: dict[str, Any], asked: int | None, threads: int) -> None:
    spec = make_service(inference=MODEL | ({"threads": asked} if asked else {}), resources=resources).spec
    assert inference.variables(spec, cores=4)["XNAI_THREADS"] == str(threads)


def test_the_contract_names_the_files_in_the_container() -> None:
    variables = inference.variables(make_service(inference=MODEL).spec, cores=4)
    assert (variables["XNAI_MODEL"], variables["XNAI_PRESSURE"]) == ("/models/m.gguf", "/run/xnai/pressure")


def test_a_service_without_inference_gets_none() -> None:
    assert inference.variables(make_service().spec, cores=4) == {}
