"""Podman's messages as a user reads them. The inputs are Podman 5.4.2's own."""

import pytest

from xnai_operator.backends.podman.messages import plain

ONE, TWO = "ea" * 32, "ae" * 32


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        pytest.param(
            [
                f"starting container {ONE}: rootlessport listen tcp 127.0.0.1:8000: bind: address already in use",
                f"starting container {TWO}: a dependency of container {TWO} failed to start: container state improper",
            ],
            "rootlessport listen tcp 127.0.0.1:8000: bind: address already in use",
            id="a port in use",
        ),
        pytest.param(
            [f"starting container {ONE}: crun: executable file `/nope` not found: No such file or directory"],
            "crun: executable file `/nope` not found: No such file or directory",
            id="no such program",
        ),
        pytest.param(
            [f"a dependency of container {TWO} failed to start: container state improper"],
            "a dependency of failed to start: container state improper",
            id="nothing but a consequence",
        ),
        pytest.param(["no space left on device"], "no space left on device", id="without an id"),
    ],
)
def test_ids_and_consequences_are_left_out(errors: list[str], expected: str) -> None:
    assert plain(errors) == expected
