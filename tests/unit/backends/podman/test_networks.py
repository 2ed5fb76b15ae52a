"""Bridges that are left: removed when no pod of the namespace is there."""

import json
from typing import Any

import pytest

from xnai_operator.backends.podman.networks import Networks

LABELS = ["app.kubernetes.io/managed-by=xnai-operator", "xnai.dev/installation=i"]


class Podman:
    """Has networks; it refuses to delete those `in_use`."""

    def __init__(self, networks: list[str], in_use: set[str]) -> None:
        self.networks = networks
        self.in_use = in_use
        self.asked: Any = None

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        assert (method, path) == ("GET", "/networks/json")
        self.asked = json.loads(arguments["params"]["filters"])
        return [{"name": name} for name in self.networks] or None

    async def status(self, method: str, path: str) -> int:
        assert method == "DELETE"
        return 409 if path.rsplit("/", 1)[1] in self.in_use else 200


@pytest.mark.parametrize(
    ("networks", "in_use", "keep", "removed"),
    [
        pytest.param([], set(), set(), [], id="no network"),
        pytest.param(["xnai-a", "xnai-b"], set(), {"a.web"}, ["xnai-b"], id="a namespace without a pod"),
        pytest.param(["xnai-a"], set(), {"a-b.web"}, ["xnai-a"], id="a name that begins alike"),
        pytest.param(["xnai-a"], {"xnai-a"}, set(), [], id="somebody else's container has it"),
    ],
)
async def test_a_bridge_without_a_pod_goes(
    networks: list[str], in_use: set[str], keep: set[str], removed: list[str]
) -> None:
    podman: Any = Podman(networks, in_use)
    assert await Networks(podman, "i").sweep(keep) == removed
    assert podman.asked == {"label": LABELS}
