"""`xnai kubeconfig`."""

from xnai_operator.cli.api_server import kubeconfig
from xnai_operator.cli.output import Exit, fail
from xnai_operator.config import Config


def run() -> None:
    """Print the path for kubectl."""
    file = kubeconfig(Config.read())
    if not file.exists():
        fail("there is none yet; run `xnai up`", Exit.UNAVAILABLE)
    print(file)  # noqa: T201
