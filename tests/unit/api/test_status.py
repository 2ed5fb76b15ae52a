"""A stored status is read as far as it is understood: another version of the operator may have written it."""

from typing import Any

import pytest

from xnai_operator.api import resources
from xnai_operator.api.conditions import Type
from xnai_operator.api.status import TmpfsMountStatus, TmpfsPolicyStatus, XnaiServiceStatus

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "ProbeSucceeded",
    "message": "HTTP 200",
    "observedGeneration": 3,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
MOUNT = {"mountPath": "/cache", "sizeBytes": 4096, "highWaterBytes": 0}
STORED = {
    "observedGeneration": 3,
    "conditions": [READY],
    "restarts": 2,
    "retryAtSeconds": 1_000_000,
    "tmpfs": [MOUNT],
    "memoryRequestBytes": 1 << 30,
    "memoryHighWaterBytes": 1 << 29,
}


def test_a_status_is_written_as_it_was_read() -> None:
    assert XnaiServiceStatus.parse(STORED).to_json() == STORED


def test_only_what_was_set_is_written() -> None:
    assert XnaiServiceStatus(restarts=0).to_json() == {"restarts": 0}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(None, XnaiServiceStatus(), id="no status"),
        pytest.param("odd", XnaiServiceStatus(), id="a status that is no object"),
        pytest.param({"restarts": 2, "later": {"x": 1}}, XnaiServiceStatus(restarts=2), id="an unknown field"),
        pytest.param({"restarts": "many", "services": 1}, XnaiServiceStatus(), id="a field of another type"),
        pytest.param(
            {"restarts": [1], "memoryRequestBytes": 5}, XnaiServiceStatus(memory_request_bytes=5), id="a list"
        ),
        pytest.param({"restarts": None}, XnaiServiceStatus(), id="a null"),
        pytest.param({"tmpfs": {"/cache": 1}}, XnaiServiceStatus(), id="a map in the place of a list"),
        pytest.param({"tmpfs": None, "conditions": None}, XnaiServiceStatus(), id="a null in the place of a list"),
        pytest.param(
            {"tmpfs": [{"mountPath": "/old"}, MOUNT, 7]},
            XnaiServiceStatus(tmpfs=[TmpfsMountStatus(mount_path="/cache", size_bytes=4096, high_water_bytes=0)]),
            id="entries of a list",
        ),
    ],
)
def test_what_is_not_understood_is_left_out(stored: Any, expected: XnaiServiceStatus) -> None:
    assert XnaiServiceStatus.parse(stored).model_dump() == expected.model_dump()


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        pytest.param([READY], True, id="as written today"),
        pytest.param([{**READY, "severity": "Info"}], True, id="with a field of a later version"),
        pytest.param([{**READY, "type": "Healthy"}, READY], True, id="beside a type of an earlier version"),
        pytest.param([{"type": "Ready", "status": "True"}], False, id="without a reason"),
        pytest.param([{**READY, "status": "Perhaps"}], False, id="with a status that is none"),
        pytest.param([], False, id="none"),
    ],
)
def test_a_condition_is_found_when_it_is_whole(conditions: list[dict[str, Any]], found: bool) -> None:
    assert (XnaiServiceStatus.parse({"conditions": conditions}).condition(Type.READY) is not None) is found


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        pytest.param("True", True, id="true"),
        pytest.param("False", False, id="false"),
        pytest.param("Unknown", False, id="unknown"),
    ],
)
def test_a_resource_knows_whether_it_was_ready(status: str, ready: bool) -> None:
    stored = {"conditions": [{**READY, "status": status}]}
    body = {"metadata": {"name": "a"}, "spec": {"image": "x"}, "status": stored}
    assert resources.service(body).stored_ready() is ready


def test_an_odd_status_makes_no_resource_invalid() -> None:
    body = {"metadata": {"name": "a"}, "spec": {"image": "x"}, "status": {"conditions": "none", "restarts": {}}}
    assert resources.service(body).status.model_dump() == XnaiServiceStatus().model_dump()


def test_a_policy_has_a_status_of_its_own() -> None:
    assert TmpfsPolicyStatus.parse({"services": 2, "restarts": 1}).to_json() == {"services": 2}
