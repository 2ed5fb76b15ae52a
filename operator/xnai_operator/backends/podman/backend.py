"""Both parts of the Podman back end, which share the connection to Podman and the helper in its user namespace."""

from dataclasses import dataclass

from xnai_operator.backends.podman.directories import Directories
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.backends.podman.networks import Networks
from xnai_operator.backends.podman.node_agent import PodmanNodeAgent
from xnai_operator.backends.podman.runtime import PodmanRuntime
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.backends.podman.volumes import Volumes
from xnai_operator.render.installation import Installation


@dataclass(frozen=True, kw_only=True)
class PodmanBackend:
    """`backends.base.Backend` on Podman."""

    runtime: PodmanRuntime
    node_agent: PodmanNodeAgent
    transport: Transport
    helper: HelperClient


def connect(socket: str, installation: Installation) -> PodmanBackend:
    """The back end on the Podman service at `socket`. It connects and starts its helper at the first use."""
    transport, helper = Transport(socket), HelperClient()
    volumes = Volumes(transport, helper, installation.installation)
    directories = Directories(installation.runtime_dir, helper)
    runtime = PodmanRuntime(transport, helper, volumes, directories, installation.installation)
    networks = Networks(transport, installation.installation)
    node_agent = PodmanNodeAgent(runtime, helper, volumes, directories, networks)
    return PodmanBackend(runtime=runtime, node_agent=node_agent, transport=transport, helper=helper)
