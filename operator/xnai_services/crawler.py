"""The crawler: URLs and local files from a Redis stream, written as raw documents. Health on port 8003.

It respects robots.txt, waits between requests to one host, and bounds size, depth and number of pages. Addresses of
the machine and its networks are refused: a request must not make it a way into them.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import socket
import time
import urllib.robotparser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx
import redis.asyncio
import uvicorn
from fastapi import FastAPI

from xnai_services import health, settings, text
from xnai_services.streams import Consumer, Entry

log = logging.getLogger(__name__)

AGENT: Final = "xnai-crawler"
MAX_BYTES: Final = 5 << 20
MAX_PAGES: Final = 50
MAX_REDIRECTS: Final = 5
DELAY_SECONDS: Final = 1.0
TYPES: Final = {"text/html", "text/plain", "text/markdown"}


class RefusedError(Exception):
    """The crawler refuses a request. The message says why."""


async def refuse_private(host: str) -> None:
    """Raises RefusedError when the host is, or resolves to, an address that is not public."""
    if os.environ.get("XNAI_CRAWLER_ALLOW_PRIVATE") == "true":
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RefusedError(f"{host} does not resolve: {error}") from error
    for *_, address in found:
        if not ipaddress.ip_address(address[0]).is_global:
            raise RefusedError(f"{host} is {address[0]}, which is not a public address")


class Crawler:
    """Fetches into `raw` and announces each document on the stream of the curation worker."""

    def __init__(self, client: redis.asyncio.Redis, http: httpx.AsyncClient, raw: Path, inbox: Path) -> None:
        self._client = client
        self._http = http
        self._raw = raw
        self._inbox = inbox
        self._robots: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._next: dict[str, float] = {}

    async def handle(self, entry: Entry) -> None:
        """One entry: {url, depth} or {path} below the inbox. Raises RefusedError, httpx.HTTPError, OSError."""
        if "path" in entry:
            await self._folder(entry["path"])
        elif "url" in entry:
            await self._site(entry["url"], min(int(entry.get("depth", 0)), 3))
        else:
            raise RefusedError("an entry needs url or path")

    async def _folder(self, path: str) -> None:
        start = (self._inbox / path.lstrip("/")).resolve()
        if not start.is_relative_to(self._inbox.resolve()):
            raise RefusedError(f"{path} leaves the inbox")
        for file in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if file.suffix in {".md", ".txt", ".html"} and file.stat().st_size <= MAX_BYTES:
                kind = "text/html" if file.suffix == ".html" else "text/plain"
                await self._write(f"file:{file.name}", kind, file.read_text(errors="replace"))

    async def _site(self, url: str, depth: int) -> None:
        seen: set[str] = set()
        level = [url]
        for remaining in range(depth, -1, -1):
            found: list[str] = []
            for page in level:
                page = urldefrag(page).url
                if page in seen or len(seen) >= MAX_PAGES:
                    continue
                seen.add(page)
                try:
                    found += await self._page(page)
                except (RefusedError, httpx.HTTPError) as error:
                    if page == url:
                        raise
                    log.info("%s: %s", page, error)
            host = urlsplit(url).netloc
            level = [link for link in found if urlsplit(link).netloc == host]
            if not remaining:
                break

    async def _page(self, url: str) -> list[str]:
        """Fetch and write one page; its links."""
        final, kind, body = await self._get(url)
        await self._write(final, kind, body)
        return [urljoin(final, link) for link in text.from_html(body)[2]] if kind == "text/html" else []

    async def _get(self, url: str) -> tuple[str, str, str]:
        for _ in range(MAX_REDIRECTS):
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise RefusedError(f"{url} is no http address")
            await refuse_private(parts.hostname)
            await self._allowed(url)
            await self._wait(parts.netloc)
            async with self._http.stream("GET", url) as response:
                if response.is_redirect:
                    url = urljoin(url, response.headers["location"])
                    continue
                response.raise_for_status()
                kind = response.headers.get("content-type", "").split(";")[0].strip()
                if kind not in TYPES:
                    raise RefusedError(f"{url} is {kind or 'of no type'}, not text")
                return url, kind, await self._read(response)
        raise RefusedError(f"{url}: more than {MAX_REDIRECTS} redirects")

    @staticmethod
    async def _read(response: httpx.Response) -> str:
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_BYTES:
                raise RefusedError(f"{response.url} is larger than {MAX_BYTES >> 20} MiB")
        return body.decode(response.encoding or "utf-8", errors="replace")

    async def _allowed(self, url: str) -> None:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._robots:
            rules = urllib.robotparser.RobotFileParser()
            answer = await self._http.get(f"{origin}/robots.txt")
            if answer.status_code in {401, 403} or answer.status_code >= 500:
                rules.parse(["User-agent: *", "Disallow: /"])  # RFC 9309: unreachable means no
            else:
                rules.parse(answer.text.splitlines() if answer.is_success else [])
            self._robots[origin] = rules
        if not self._robots[origin].can_fetch(AGENT, url):
            raise RefusedError(f"robots.txt of {parts.netloc} forbids {parts.path or '/'}")

    async def _wait(self, host: str) -> None:
        now = time.monotonic()
        turn = max(self._next.get(host, now), now)
        self._next[host] = turn + DELAY_SECONDS
        await asyncio.sleep(turn - now)

    async def _write(self, url: str, kind: str, body: str) -> None:
        document = {"url": url, "type": kind, "text": body, "fetched_at": time.time()}
        name = f"{text.digest(url + body)}.json"
        temporary = self._raw / f".{name}"
        temporary.write_text(json.dumps(document))
        temporary.replace(self._raw / name)
        await self._client.xadd(settings.RAW_STREAM, {"file": name}, maxlen=settings.STREAM_LENGTH, approximate=True)
        log.info("fetched %s", url)


def build() -> FastAPI:
    """The health application, with the consumer running beside it."""
    client = settings.redis_client("crawler", timeout=5, retries=1)
    http = httpx.AsyncClient(headers={"User-Agent": AGENT}, timeout=20)
    raw, inbox = settings.folder("XNAI_RAW", "/data/raw"), settings.folder("XNAI_INBOX", "/data/inbox")
    crawler = Crawler(client, http, raw, inbox)
    consumer = Consumer(client, settings.REQUEST_STREAM, "crawler", crawler.handle)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(consumer.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await http.aclose()
        await client.aclose()

    api = health.app(lambda: {"redis": consumer.connected, "raw": os.access(raw, os.W_OK)})
    api.router.lifespan_context = lifespan
    return api


def main() -> None:
    """`python -m xnai_services.crawler`."""
    settings.configure_logging()
    uvicorn.run(build(), host="0.0.0.0", port=8003, log_config=None, timeout_graceful_shutdown=5)  # noqa: S104


if __name__ == "__main__":
    main()
