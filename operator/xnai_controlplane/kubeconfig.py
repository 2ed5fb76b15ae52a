"""Kubeconfig files with embedded client certificates."""

import base64
import json
from pathlib import Path

from xnai_controlplane.files import write_private


def write(path: Path, certificates: Path, user: str, port: int) -> None:
    """A kubeconfig (JSON, which is YAML) for the certificate `user` of the directory, readable by the owner alone."""

    def embedded(name: str) -> str:
        return base64.b64encode((certificates / name).read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "xnai",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority-data": embedded("ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": embedded(f"{user}.crt"),
                    "client-key-data": embedded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": "xnai", "context": {"cluster": "xnai", "user": user}}],
        "current-context": "xnai",
    }
    text = json.dumps(content, indent=2).encode() + b"\n"
    if not path.exists() or path.read_bytes() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text)
