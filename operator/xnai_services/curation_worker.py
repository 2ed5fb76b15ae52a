"""The curation worker: raw documents from a stream, cleaned, deduplicated, cut, indexed. Health on port 8004."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from xnai_services import health, settings, text
from xnai_services.store import Writer
from xnai_services.streams import Consumer, Entry

log = logging.getLogger(__name__)


class Curator:
    """Puts raw documents into the index. `raw`: where the crawler writes."""

    def __init__(self, writer: Writer, raw: Path) -> None:
        self._writer = writer
        self._raw = raw

    async def handle(self, entry: Entry) -> None:
        """One entry: {file} names a document in `raw`, otherwise {title, url, text} is one.

        Raises ValueError, OSError when the document cannot be indexed.
        """
        if "file" in entry:
            if "/" in entry["file"]:
                raise ValueError(f"{entry['file']} is no file name")
            document = json.loads((self._raw / entry["file"]).read_text())
        else:
            document = entry
        content = document["text"]
        title = document.get("title", "")
        if document.get("type") == "text/html":
            found, content, _ = text.from_html(content)
            title = title or found
        title = title or text.title_of(content)
        cleaned = text.clean(content)
        if not cleaned:
            raise ValueError("the document has no text")
        added = await asyncio.to_thread(self._put, title, document.get("url", ""), cleaned)
        log.info("%s: %s", "indexed" if added else "known already", title)

    def _put(self, title: str, url: str, cleaned: str) -> bool:
        return self._writer.put(text.digest(cleaned), title, url, text.chunks(cleaned), time.time())


def build() -> FastAPI:
    """The health application, with the consumer running beside it."""
    client = settings.redis_client("curation-worker", timeout=5, retries=1)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(consumer.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()

    curated = settings.folder("XNAI_CURATED", "/data/curated")
    curator = Curator(Writer(curated), settings.folder("XNAI_RAW", "/data/raw"))
    consumer = Consumer(client, settings.RAW_STREAM, "curation", curator.handle, dead=settings.DEAD_STREAM)
    api = health.app(lambda: {"redis": consumer.connected})
    api.router.lifespan_context = lifespan
    return api


def main() -> None:
    """`python -m xnai_services.curation_worker`."""
    settings.configure_logging()
    uvicorn.run(build(), host="0.0.0.0", port=8004, log_config=None, timeout_graceful_shutdown=5)  # noqa: S104


if __name__ == "__main__":
    main()
