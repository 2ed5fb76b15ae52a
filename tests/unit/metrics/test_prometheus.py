"""The figures follow what happens."""

import socket
import urllib.request

import pytest

from tests.unit.world import World
from xnai_operator.host import node
from xnai_operator.metrics.prometheus import Metrics

A = {"namespace": "default", "service": "a"}


async def test_services_are_told_while_they_are_there(world: World) -> None:
    value = world.metrics.registry.get_sample_value
    world.apply(
        "a", resources={"requests": {"memory": "100Mi"}}, storage={"tmpfs": [{"mountPath": "/c", "size": "1Mi"}]}
    )
    await world.settle()
    world.backend.used["/c"] = 5000
    await world.engine.read_mounts()
    assert (value("xnai_service_ready", A), value("xnai_tmpfs_used_bytes", A | {"mount_path": "/c"})) == (1, 5000)
    assert (value("xnai_service_memory_request_bytes", A) or 0) > 100 << 20
    assert value("xnai_runtime_info", {"runtime": "fake", "version": "1"}) == 1
    assert value("xnai_actions_total", {"action": "start", "reason": "PodMissing"}) == 1
    world.delete("a")
    await world.settle()
    await world.engine.read_mounts()
    assert (value("xnai_service_ready", A), value("xnai_tmpfs_used_bytes", A | {"mount_path": "/c"})) == (None, None)


async def test_the_step_of_the_ladder_is_told(world: World) -> None:
    value = world.metrics.registry.get_sample_value
    await world.read_memory(0.09)
    assert (value("xnai_pressure_step"), value("xnai_pressure_changes_total", {"step": "Evict"})) == (4, 1)
    assert value("xnai_node_memory_total_bytes") == 8 << 30


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_they_are_served_on_this_machine() -> None:
    metrics, port = Metrics(), free_port()
    metrics.node_info(node.read())
    metrics.serve(port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b"xnai_node_info{" in answer.read()


def test_a_taken_port_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        Metrics().serve(sock.getsockname()[1])
    assert "XNAI_METRICS_PORT" in capsys.readouterr().out
