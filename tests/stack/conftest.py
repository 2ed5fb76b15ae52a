"""The six services on real Podman behind the real API server: a second installation, beside the user's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from xnai_operator.config import Config

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "test"
NAMESPACE = "xnai-test"
SHIFT = 10000
"""Added to every host port, so that a running stack of the user keeps its own."""


@dataclass(frozen=True)
class Stack:
    """The installation under test. `manifests`: the project's, in another namespace and on other host ports."""

    config: Config
    manifests: Path
    environ: dict[str, str]
    namespace: str = NAMESPACE

    def xnai(self, *arguments: str, code: int | None = 0) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "xnai_operator.cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environ, check=False, timeout=400)
        assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self) -> "subprocess.CompletedProcess[str]":
        return self.xnai("up", "-f", str(self.manifests), "--timeout", "240")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        kubeconfig = self.config.state / "control-plane" / "kubeconfig"
        command = ["kubectl", f"--kubeconfig={kubeconfig}", "-n", self.namespace, *arguments]
        return subprocess.run(command, capture_output=True, text=True, input=stdin, check=False, timeout=120)

    def containers(self) -> dict[str, str]:
        """Service -> id of its running container."""
        listed = podman("ps", "--format", "json", "--filter", f"label=xnai.dev/namespace={self.namespace}")
        found = json.loads(listed.stdout)
        return {c["Labels"]["xnai.dev/service"]: c["Id"] for c in found if c["Names"][0].endswith("-main")}

    def run_in(self, service: str, *command: str) -> "subprocess.CompletedProcess[str]":
        return podman("exec", f"{self.namespace}.{service}-main", *command)


def podman(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False, timeout=120)


def _moved(body: dict[str, Any]) -> dict[str, Any]:
    body["metadata"]["namespace"] = NAMESPACE
    for port in body.get("spec", {}).get("ports", []):
        if "hostPort" in port:
            port["hostPort"] += SHIFT
    return body


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Nothing is running yet."""
    environ = {**os.environ, "XNAI_INSTANCE": INSTANCE}
    config = Config.read(environ)
    manifests = tmp_path_factory.mktemp("manifests")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    (manifests / "namespace.yaml").write_text(yaml.safe_dump(namespace))
    for file in (ROOT / "manifests").rglob("*.yaml"):
        bodies = [_moved(body) for body in yaml.safe_load_all(file.read_text())]
        (manifests / f"{file.parent.name}-{file.name}").write_text(yaml.safe_dump_all(bodies))
    stack = Stack(config, manifests, environ)
    _remove(stack)
    config.models.mkdir(parents=True)
    model = config.models.parents[1] / "xnai" / "models" / "gemma-3-270m-q4_k_m.gguf"
    assert model.exists(), f"{model} is missing; run hack/setup.py --tests"
    (config.models / model.name).symlink_to(model.resolve())
    yield stack
    _remove(stack)


def _remove(stack: Stack) -> None:
    if stack.config.state.exists():
        stack.xnai("down")
    volumes = podman("volume", "ls", "--quiet").stdout.split()
    for volume in volumes:
        if volume.startswith(f"{NAMESPACE}."):
            podman("volume", "rm", volume)
    podman("network", "rm", f"xnai-{NAMESPACE}")
    for folder in (stack.config.state, stack.config.data, stack.config.runtime):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(installation: Stack) -> Stack:
    """Six services Ready."""
    done = installation.up()
    assert "6/6 Ready" in done.stdout
    return installation
