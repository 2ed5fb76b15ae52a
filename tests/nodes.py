"""The node of the tests that run on no machine of their own."""

from xnai_operator.plan.types import Node
from xnai_operator.render import podman
from xnai_operator.render.installation import Installation


def make_node(installation: Installation, allocatable: int = 8 << 30) -> Node:
    """A node with two cores and Podman's renderer."""
    return Node(
        allocatable=allocatable,
        render=podman.renderer(installation, cores=2),
        models_dir=installation.models_dir,
        cores=2,
        cpus=frozenset({0, 1}),
    )
