"""Builds the operator's parts from its settings."""

import os
import secrets
from pathlib import Path
from typing import Final

from xnai_operator.backends.podman.backend import PodmanBackend, connect
from xnai_operator.config import Config
from xnai_operator.errors import StateError
from xnai_operator.host import node
from xnai_operator.host.files import write_atomically
from xnai_operator.plan.types import Node
from xnai_operator.render import podman
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import Renderer

KEY_BYTES: Final = 32


def installation_key(path: Path) -> bytes:
    """The key of the hashes: 32 bytes, created on first use. Only the user can read it.

    A damaged key is not made anew: every hash and the id of the installation would change. Raises StateError."""
    if not path.exists():
        write_atomically(path, secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise StateError(
            f"{path} has {len(key)} bytes in place of {KEY_BYTES}, as after a power cut. Restore it from a backup. "
            "Without one, delete it: a new key is made, every pod is started again, and pods and volumes of the old "
            "key are no longer known as this installation's"
        )
    return key


def installation(config: Config) -> Installation:
    """The installation of these settings. Creates its key on first use."""
    return Installation(
        runtime_dir=str(config.runtime),
        models_dir=str(config.models),
        key=installation_key(config.state / "installation.key"),
    )


def renderer(config: Config) -> Renderer:
    """The renderer of the node's runtime."""
    return podman.renderer(installation(config), node.read().cores)


def node_resources(config: Config) -> Node:
    """The node. `allocatable` is its memory less the reserve."""
    found = node.read()
    return Node(
        allocatable=max(found.memory - config.reserve, 0),
        memory=found.memory,
        cores=found.cores,
        cpus=frozenset(os.sched_getaffinity(0)),
        gpus=frozenset(found.gpus),
        models_dir=str(config.models),
        render=podman.renderer(installation(config), found.cores),
    )


def backend(config: Config) -> PodmanBackend:
    """The Podman back end on the operator's own service."""
    return connect(str(config.podman_socket), installation(config))
