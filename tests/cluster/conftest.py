"""A real kube-apiserver with etcd for the session, with the project's CRDs."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xnai_controlplane import ControlPlane, testing

ROOT = Path(__file__).resolve().parents[2]
Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with testing.temporary() as plane:
        yield plane


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    def run(*arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    applied = run("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert applied.returncode == 0, applied.stderr
    waited = run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    assert waited.returncode == 0, waited.stderr
    return run
