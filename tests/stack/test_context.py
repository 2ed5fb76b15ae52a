"""`xnai up --context`: the resources are in somebody else's API server, the pods here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.stack.conftest import podman
from xnai_controlplane import testing
from xnai_operator.config import Config

SERVICE = {
    "apiVersion": "xnai.dev/v1alpha1",
    "kind": "XnaiService",
    "metadata": {"name": "web", "namespace": "xnai-context"},
    "spec": {"image": "localhost/xnai-mkdocs:0.1.0", "health": {"readiness": {"httpGet": {"port": 8000}}}},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "xnai-context"}}


def test_a_service_of_another_api_server_runs_here(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(yaml.safe_dump_all([NAMESPACE, SERVICE]))
    environ = {**os.environ, "XNAI_INSTANCE": "context"}
    config = Config.read(environ)

    def xnai(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "xnai_operator.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=200)

    with testing.temporary() as plane:
        environ["KUBECONFIG"] = str(plane.kubeconfig)
        try:
            wrong = xnai("up", "--context", "nowhere", "-f", str(tmp_path))
            assert (wrong.returncode, "nowhere" in wrong.stderr) == (1, True)
            done = xnai("up", "--context", "xnai", "-f", str(tmp_path), "--timeout", "90")
            assert "1/1 Ready" in done.stdout, done.stderr
            running = json.loads(
                podman("ps", "--format", "json", "--filter", "label=xnai.dev/namespace=xnai-context").stdout
            )
            assert [c["Names"][0] for c in running if c["Names"][0].endswith("-main")] == ["xnai-context.web-main"]
            assert not (config.state / "control-plane").exists()
        finally:
            xnai("down")
            podman("network", "rm", "xnai-xnai-context")
            for folder in (config.state, config.data, config.runtime):
                shutil.rmtree(folder, ignore_errors=True)
