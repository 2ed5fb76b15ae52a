"""The service as it is played."""

from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.plan.variants import limits_left_out, played
from xnai_operator.render.variant import AS_DECLARED, Variant

BOTH = {"limits": {"memory": "1Gi", "cpu": "1"}}


@pytest.mark.parametrize(
    ("resources", "missing", "expected"),
    [
        pytest.param(BOTH, set(), set(), id="nothing is missing"),
        pytest.param(BOTH, {"memory", "cpu"}, {"memory", "cpu"}, id="both"),
        pytest.param({"limits": {"memory": "1Gi"}}, {"cpu"}, set(), id="no limit of the missing controller"),
        pytest.param({"requests": {"memory": "1Gi"}}, {"memory"}, {"memory"}, id="a request"),
        pytest.param({}, {"memory", "cpu"}, set(), id="no limits"),
    ],
)
def test_only_declared_limits_are_left_out(resources: dict[str, Any], missing: set[str], expected: set[str]) -> None:
    assert limits_left_out(make_service(resources=resources), frozenset(missing)) == expected


def test_a_service_is_played_as_declared() -> None:
    service = make_service(resources=BOTH, inference={"model": {"file": "m.gguf"}})
    assert played(service, AS_DECLARED).spec == service.spec


def test_a_service_is_played_as_its_variant_says() -> None:
    service = make_service(resources=BOTH, inference={"model": {"file": "m.gguf"}, "contextSize": 8192})
    spec = played(service, Variant(reduced=True, without_limits=frozenset({"memory"}))).spec
    assert spec.inference is not None
    assert (spec.inference.context_size, spec.resources.limits.memory, spec.resources.limits.cpu) == (2048, None, "1")
