"""The RAG API with a model and a Redis that do what the test says."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from redis.exceptions import ConnectionError as RedisConnectionError

from xnai_services.generator import Abort, AbortedError, Model
from xnai_services.rag_api import Rag, build
from xnai_services.store import Reader


class FakeModel:
    """Says `pieces`; waits for `go` or its abort first when `go` is set; raises `error`. A byte is a token."""

    def __init__(self) -> None:
        self.context = 2048
        self.pieces = [" One", " two"]
        self.inside = 0
        self.most_inside = 0
        self.max_tokens = 0
        self.aborted = threading.Event()
        self.held: threading.Event | None = None
        self.prompts: list[str] = []
        self.error: Exception | None = None
        self.go: threading.Event | None = None
        self.asked = threading.Event()

    def count(self, text: str) -> int:
        return len(text.encode())

    def complete(self, prompt: str, max_tokens: int, abort: Abort) -> Iterator[str]:
        self.prompts.append(prompt)
        self.max_tokens = max_tokens
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.go is not None and max_tokens > 1:
                self._read(self.go, abort)
            if self.error is not None:
                raise self.error
            yield from self.pieces
        finally:
            self.inside -= 1

    def _read(self, go: threading.Event, abort: Abort) -> None:
        """Read a long prompt, until `go`; the abort ends it, but not before `held`, when that is set."""
        self.asked.set()
        while not go.wait(0.01):
            if abort.is_set():
                self.aborted.set()
                assert self.held is None or self.held.wait(10)
                raise AbortedError


class FakeRedis:
    """A dictionary; `down` makes every call fail."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.stream: list[dict[str, str]] = []
        self.down = False

    async def get(self, key: str) -> str | None:
        self._check()
        return self.values.get(key)

    async def set(self, key: str, value: str, ex: int) -> None:
        self._check()
        self.values[key] = value

    async def xadd(self, stream: str, entry: dict[str, str], **_: Any) -> str:
        self._check()
        self.stream.append(entry)
        return "1-0"

    async def aclose(self) -> None:
        pass

    def _check(self) -> None:
        if self.down:
            raise RedisConnectionError("down")


class World:
    def __init__(self, directory: Path) -> None:
        self.model = FakeModel()
        self.redis = FakeRedis()
        self.load: Any = lambda: self.model
        self.rag = Rag(Reader(directory), self.redis, self._load)  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=build(self.rag)), base_url="http://rag")

    def _load(self) -> Model:
        made: Model = self.load()
        return made

    async def events(self, question: str) -> list[tuple[str, Any]]:
        answer = await self.http.post("/stream", json={"question": question})
        parts = [block.split("\n") for block in answer.text.strip().split("\n\n")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


QUESTION = "When was the turbine built?"


async def disconnected(world: World, path: str, gone: asyncio.Event) -> None:
    """A request whose client goes away when the event is set."""
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http",
        "query_string": b"", "headers": [(b"content-type", b"application/json")], "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"}, "client": ("127.0.0.1", 1), "server": ("rag", 80),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": json.dumps({"question": QUESTION}).encode(), "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    app: Any = build(world.rag)
    await app(scope, receive, send)
