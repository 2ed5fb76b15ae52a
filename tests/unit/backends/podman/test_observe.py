"""What Podman says of the machine, and what holds for its containers."""

import pytest

from xnai_operator.backends.podman.observe import usable_controllers


@pytest.mark.parametrize(
    ("rootless", "manager", "said", "delegated", "expected"),
    [
        # From a login Podman's service sees what its session has; its containers are elsewhere.
        (True, "systemd", ["memory", "pids"], ("cpu", "memory", "pids"), {"cpu", "memory", "pids"}),
        (True, "systemd", ["memory", "pids"], ("cpu", "pids"), {"cpu", "pids"}),
        (True, "systemd", ["memory", "pids"], (), {"memory", "pids"}),
        (True, "cgroupfs", ["pids"], ("cpu", "memory", "pids"), {"pids"}),
        (False, "systemd", ["cpu", "memory"], (), {"cpu", "memory"}),
    ],
)
def test_the_controllers_of_containers(
    rootless: bool, manager: str, said: list[str], delegated: tuple[str, ...], expected: set[str]
) -> None:
    host = {"security": {"rootless": rootless}, "cgroupManager": manager, "cgroupControllers": said}
    assert usable_controllers(host, delegated) == expected
