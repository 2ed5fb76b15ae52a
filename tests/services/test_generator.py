"""The RAG API with the real llama.cpp and a real model, in a container of the inference image."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from xnai_operator.config import Config

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "localhost/xnai-inference:0.1.0"
MODEL = "gemma-3-270m-q4_k_m.gguf"
CLIENTS = 200


def disconnects(count: int, seed: int, *paths: str) -> dict[str, Any]:
    """What disconnects.py tells. The container has no network but its own loopback."""
    model = (Config.read(os.environ).models / MODEL).resolve()
    assert model.exists(), f"{model} is missing; run hack/setup.py --tests"
    mounts = {model: "/model.gguf", ROOT / "operator": "/app", Path(__file__).with_name("disconnects.py"): "/run.py"}
    environment = {"XNAI_MODEL": "/model.gguf", "XNAI_CTX": "2048", "XNAI_THREADS": "2", "PYTHONPATH": "/app"}
    command = ["podman", "run", "--rm", "--init", "--pull=never", "--network=none"]
    command += [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
    command += [f"--env={name}={value}" for name, value in environment.items()]
    command += ["--env=GGML_NO_BACKTRACE=1", IMAGE, "python", "/run.py", str(count), str(seed), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=560)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.podman
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_clients_that_go_away_never_end_the_service() -> None:
    told = disconnects(CLIENTS, 1, "/stream", "/query")
    assert told["left"] == CLIENTS
    assert (told["answer"]["generated"], told["state"]["breakers"]["model"]) == (True, "closed")
    assert told["code"] == -15  # SIGTERM, sent while the model may be reading a question, and nothing worse
