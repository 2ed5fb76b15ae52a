"""Both ends of the helper speak of the same operations and payloads."""

import json
from typing import Any, get_args, get_type_hints

import pytest

from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper.__main__ import HANDLERS
from xnai_operator.backends.podman.helper.protocol import Operation

OPERATIONS: dict[str, Operation[Any, Any]] = {
    name: value for name, value in vars(protocol).items() if isinstance(value, Operation)
}


def test_every_operation_has_a_handler_and_every_handler_an_operation() -> None:
    assert {operation.name: operation for operation in OPERATIONS.values()} == {
        name: operation for name, (operation, _) in HANDLERS.items()
    }


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_handler_takes_and_gives_the_payloads_of_its_operation(name: str) -> None:
    operation = OPERATIONS[name]
    _, function = HANDLERS[operation.name]
    hints = get_type_hints(function)
    assert (hints["request"], hints["return"]) == get_args(operation.__orig_class__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_constant_is_called_like_its_operation(name: str) -> None:
    assert OPERATIONS[name].name == name.lower()


def test_a_payload_is_json() -> None:
    tmpfs = protocol.TmpfsMount(path="/a", size=1 << 40, mode="1777", uid=1, gid=2, exec=False)
    files = protocol.FileMount(path="/b \N{BLACK HEART SUIT}", files={"key": "eA=="}, uid=1, gid=2, secret=True)
    request = protocol.Prepare(tmpfs=[tmpfs], files=[files])
    assert json.loads(json.dumps(request)) == request
