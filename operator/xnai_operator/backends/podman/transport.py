"""HTTP to Podman's socket, through podman-py's client (it wraps no kube endpoint), off the event loop."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import requests
from podman.api import APIClient

from xnai_operator.api.conditions import Reason
from xnai_operator.errors import BackendError

THREADS: Final = 32


class Transport:
    """Calls below `/libpod`. A stop holds its thread as long as the pod's grace: there are enough for the others."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        # With fewer connections than threads urllib3 warns of each that it throws away.
        self._client = APIClient(base_url=f"unix://{socket}", timeout=60, max_pool_size=THREADS)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="podman")

    async def call(
        self,
        method: str,
        path: str,
        *,
        ok: tuple[int, ...] = (),
        reason: Reason = Reason.RUNTIME_REFUSED,
        **arguments: Any,
    ) -> Any:
        """One request; the JSON of the answer (None when there is none). Statuses of 400 and above that are not in
        `ok` raise BackendError with `reason` and Podman's words."""
        status, content = await self._request(method, path, arguments)
        if status >= 400:
            if status in ok:
                return None
            raise BackendError(reason, _message(content) or f"{method} {path}: HTTP {status}")
        return json.loads(content) if content.strip() else None

    async def read(self, method: str, path: str, **arguments: Any) -> bytes:
        """A raw answer, read to its end. Raises BackendError as `call` does."""
        status, content = await self._request(method, path, arguments)
        if status >= 400:
            raise BackendError(Reason.RUNTIME_REFUSED, _message(content) or f"{method} {path}: HTTP {status}")
        return content

    async def status(self, method: str, path: str) -> int:
        """The status of an answer nobody reads."""
        return (await self._request(method, path, {}))[0]

    async def exists(self, kind: str, name: str) -> bool:
        """Whether an object is there, `kind` as in Podman's paths. Podman answers 204 or 404, and `call` gives None for
        both."""
        return await self.status("GET", f"/{kind}/{quote(name, safe='')}/exists") < 400

    async def _request(self, method: str, path: str, arguments: dict[str, Any]) -> tuple[int, bytes]:
        """The status of the answer and its body. Raises BackendError when Podman does not answer."""

        def work() -> tuple[int, bytes]:
            response = getattr(self._client, method.lower())(path, **arguments)
            return response.status_code, bytes(response.content)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except requests.RequestException as error:
            raise BackendError(
                Reason.PODMAN_UNAVAILABLE, f"Podman does not answer on {self.socket}: {error}; `xnai doctor` says why"
            ) from error

    async def attach(self, path: str, body: str, limit: int) -> bytes:
        """The first `limit` bytes of the output of a command, at its end. Over aiohttp: it holds no thread and can be
        cancelled. Raises BackendError as `call` does."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        headers = {"Content-Type": "application/json"}
        output = b""
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.socket), timeout=timeout) as session,
                session.post(f"http://d/v5.0.0/libpod{path}", data=body, headers=headers) as response,
            ):
                async for piece in response.content.iter_any():
                    output += piece[: limit - len(output)]
                if response.status >= 400:
                    raise BackendError(Reason.RUNTIME_REFUSED, _message(output) or f"POST {path}: {response.status}")
        except (aiohttp.ClientError, OSError) as error:
            raise BackendError(
                Reason.PODMAN_UNAVAILABLE, f"Podman does not answer on {self.socket}: {error}; `xnai doctor` says why"
            ) from error
        return output

    async def events(self) -> AsyncIterator[str]:
        """The type of each event: empty when the stream is open, `container` when one starts or dies (events of pods
        carry no labels), `image` when one comes or goes. Over aiohttp: a blocking read cannot be cancelled.

        Raises BackendError when the stream breaks.
        """
        events = ["start", "died", "tag", "pull", "loadFromArchive", "remove"]
        filters = json.dumps({"type": ["container", "image"], "event": events})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.socket), timeout=timeout) as session,
                session.get("http://d/v5.0.0/libpod/events", params={"filters": filters, "stream": "true"}) as response,
            ):
                yield ""
                async for line in response.content:
                    yield json.loads(line)["Type"]
        except (aiohttp.ClientError, OSError) as error:
            raise BackendError(Reason.PODMAN_UNAVAILABLE, f"Podman's events ended: {error}") from error
        raise BackendError(Reason.PODMAN_UNAVAILABLE, "Podman's events ended")

    def close(self) -> None:
        """Close the connections; running calls end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()


def _message(content: bytes) -> str:
    try:
        body = json.loads(content)
        return str(body.get("message") or body.get("cause") or "") if isinstance(body, dict) else ""
    except ValueError:
        return content.decode(errors="replace")
