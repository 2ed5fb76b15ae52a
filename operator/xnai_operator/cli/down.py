"""`xnai down`: stop the server and the pods."""

import asyncio
import os

from xnai_operator import wiring
from xnai_operator.cli import background, serve
from xnai_operator.cli.output import fail, out
from xnai_operator.config import Config
from xnai_operator.errors import BackendError


def run() -> None:
    """Stop everything of ours; persistent data stay."""
    config = Config.read()
    try:
        ran = background.stop(config)
        stopped = asyncio.run(stop_pods(config))
    except (TimeoutError, BackendError) as error:
        fail(str(error))
    if not ran and not stopped:
        out.print("nothing was running")
        return
    out.print(f"stopped {len(stopped)} pods; persistent volumes and settings stay")


async def stop_pods(config: Config) -> list[str]:
    """Stop every pod of ours, with a Podman service for as long as it takes."""
    if not config.runtime.is_dir():
        return []
    service = serve.podman_service(config.podman_socket)
    process = await asyncio.create_subprocess_exec(
        *service.argv, env={**os.environ, **service.env}, stderr=asyncio.subprocess.DEVNULL
    )
    backend = wiring.backend(config)
    try:
        while not await service.ready():
            if process.returncode is not None:
                return []
            await asyncio.sleep(0.05)
        pods = list((await backend.runtime.observe()).pods)
        await asyncio.gather(*(backend.runtime.stop(name, 10) for name in pods))
        await backend.node_agent.sweep(set())
        return pods
    finally:
        await backend.runtime.close()
        process.terminate()
        await process.wait()
