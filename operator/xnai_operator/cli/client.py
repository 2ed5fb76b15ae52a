"""A command's talk with the API server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from xnai_operator.cli.api_server import kubeconfig
from xnai_operator.cli.output import Exit, fail
from xnai_operator.config import Config
from xnai_operator.errors import ApiError, BackendError
from xnai_operator.kube.client import KubeClient

T = TypeVar("T")


def with_api(config: Config, work: Callable[[KubeClient], Awaitable[T]]) -> T:
    """Run `work` with a client; what does not answer ends the command with 3."""
    file = kubeconfig(config)
    if not file.exists():
        fail("nothing was started yet; run `xnai up`", Exit.UNAVAILABLE)

    async def run() -> T:
        api = await KubeClient.connect(file)
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(run())
    except ApiError as error:
        fail(error.message if error.status else f"{error.message}; run `xnai up`", Exit.UNAVAILABLE)
    except BackendError as error:
        fail(error.message, Exit.UNAVAILABLE)
