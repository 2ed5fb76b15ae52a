"""`xnai logs`: the output of a service, or of a process of the control plane."""

import asyncio

from xnai_operator import wiring
from xnai_operator.cli.output import Exit, fail
from xnai_operator.config import Config
from xnai_operator.errors import BackendError
from xnai_operator.host.files import last_lines


def run(name: str, namespace: str, tail: int, init: str | None = None) -> None:
    """Print the last `tail` lines, of the init container `init` when it is given."""
    config = Config.read()
    own = config.logs / f"{name}.log"
    if init is None and own.exists():
        print("\n".join(last_lines(own, tail)))  # noqa: T201
        return

    async def read() -> str:
        backend = wiring.backend(config)
        try:
            return await backend.runtime.logs(f"{namespace}.{name}", tail, init)
        finally:
            await backend.runtime.close()

    try:
        print(asyncio.run(read()), end="")  # noqa: T201
    except BackendError as error:
        fail(f"{namespace}/{name}: {error.message}", Exit.UNAVAILABLE)
