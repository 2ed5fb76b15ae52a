"""The RAG API with a model and a Redis that do what the test says."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from xnai_services.generator import Model
from xnai_services.rag_api import Rag, build
from xnai_services.store import Reader, Writer


class FakeModel:
    """Says `pieces`; waits for `go` first when it is set; raises `error`."""

    def __init__(self) -> None:
        self.pieces = [" One", " two"]
        self.prompts: list[str] = []
        self.error: Exception | None = None
        self.go: threading.Event | None = None
        self.asked = threading.Event()

    def complete(self, prompt: str, max_tokens: int) -> Iterator[str]:
        self.prompts.append(prompt)
        if self.go is not None and max_tokens > 1:
            self.asked.set()
            self.go.wait(10)
        if self.error is not None:
            raise self.error
        yield from self.pieces


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


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> World:
    writer = Writer(tmp_path)
    writer.put("1", "Turbine", "http://t", ["The turbine was built in 1987."], 1.0)
    writer.close()
    return World(tmp_path)


QUESTION = "When was the turbine built?"


async def test_sources_then_tokens_then_done(world: World) -> None:
    await world.rag.warm_up()
    events = await world.events(QUESTION)
    assert [name for name, _ in events] == ["sources", "token", "token", "done"]
    assert (events[0][1][0]["title"], events[1][1], events[3][1]["generated"]) == ("Turbine", "One", True)


async def test_the_prompt_holds_the_sources(world: World) -> None:
    await world.rag.warm_up()
    await world.events(QUESTION)
    assert world.model.prompts[-1] == (
        "Source 1: The turbine was built in 1987.\nQuestion: When was the turbine built?\nAnswer:"
    )


async def test_the_second_answer_comes_from_the_cache(world: World) -> None:
    await world.rag.warm_up()
    await world.events(QUESTION)
    asked = len(world.model.prompts)
    events = await world.events(QUESTION)
    assert (events[-1][1]["cached"], len(world.model.prompts)) == (True, asked)


async def test_without_redis_it_answers(world: World) -> None:
    await world.rag.warm_up()
    world.redis.down = True
    assert (await world.events(QUESTION))[-1] == ("done", {"cached": False, "generated": True})


async def test_redis_is_left_alone_after_five_failures(world: World) -> None:
    await world.rag.warm_up()
    world.redis.down = True
    for _ in range(5):
        await world.events(QUESTION)
    assert (await world.http.get("/readyz")).json()["breakers"]["redis"] == "open"


async def test_without_a_model_the_passages_are_the_answer(world: World) -> None:
    events = await world.events(QUESTION)
    assert (events[-1][1]["generated"], "1987" in events[2][1]) == (False, True)


async def test_a_failing_model_is_an_error_event_and_then_left_alone(world: World) -> None:
    await world.rag.warm_up()
    world.model.error = RuntimeError("no memory")
    assert [(await world.events(QUESTION))[-1][0] for _ in range(4)] == ["error", "error", "error", "done"]


async def test_health_is_answered_while_the_model_works(world: World) -> None:
    await world.rag.warm_up()
    world.model.go = threading.Event()
    asking = asyncio.create_task(world.events(QUESTION))
    await asyncio.to_thread(world.model.asked.wait, 10)
    assert (await world.http.get("/healthz")).status_code == 200
    world.model.go.set()
    await asking


async def test_ready_only_after_the_model_has_answered(world: World) -> None:
    assert (await world.http.get("/readyz")).status_code == 503
    await world.rag.warm_up()
    assert (await world.http.get("/readyz")).status_code == 200


async def test_a_model_that_does_not_load_is_told(world: World) -> None:
    def broken() -> Model:
        raise OSError("no such file")

    world.load = broken
    await world.rag.warm_up()
    answer = await world.http.get("/readyz")
    assert (answer.status_code, answer.json()["failure"]) == (503, "no such file")


async def test_a_document_is_announced(world: World) -> None:
    answer = await world.http.post("/documents", json={"text": "words", "title": "T"})
    assert (answer.status_code, world.redis.stream) == (202, [{"title": "T", "url": "", "text": "words"}])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/documents", {"text": "  \n "}, 422),
        ("/documents", {"text": "x" * ((1 << 20) + 1)}, 422),
        ("/documents", {}, 422),
        ("/stream", {"question": ""}, 422),
        ("/query", {"question": "x", "max_tokens": 0}, 422),
        ("/crawl", {"url": "file:///etc/passwd"}, 422),
    ],
)
async def test_wrong_input_is_refused(path: str, body: dict[str, Any], status: int, world: World) -> None:
    assert (await world.http.post(path, json=body)).status_code == status
    assert world.redis.stream == []


async def test_a_document_without_redis_is_asked_for_again(world: World) -> None:
    world.redis.down = True
    answer = await world.http.post("/documents", json={"text": "words"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_metrics_count_the_answers(world: World) -> None:
    await world.rag.warm_up()
    await world.events(QUESTION)
    assert 'xnai_rag_answers_total{outcome="generated"} 1.0' in (await world.http.get("/metrics")).text


@pytest.mark.parametrize(("step", "status"), [("0", 200), ("3", 200), ("4", 503), ("5", 503), ("", 200), (None, 200)])
@pytest.mark.parametrize("path", ["/query", "/stream"])
async def test_new_questions_are_refused_when_the_operator_asks_for_it(
    path: str, step: str | None, status: int, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XNAI_PRESSURE", str(tmp_path / "pressure"))
    if step is not None:
        (tmp_path / "pressure").write_text(step)
    answer = await world.http.post(path, json={"question": "What?"})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, "30" if status == 503 else None)
