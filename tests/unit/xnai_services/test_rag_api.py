"""The RAG API: answers, its model, its documents, its health."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.unit.xnai_services.rag import QUESTION, World, disconnected
from xnai_services.generator import QUEUE, Abort, AbortedError, Generator, Model
from xnai_services.store import Writer


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> World:
    writer = Writer(tmp_path)
    writer.put("1", "Turbine", "http://t", ["The turbine was built in 1987."], 1.0)
    writer.close()
    return World(tmp_path)


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


@pytest.mark.parametrize("path", ["/stream", "/query"])
async def test_a_client_that_goes_away_aborts_the_model_while_it_reads(path: str, world: World) -> None:
    await world.rag.warm_up()
    world.model.go = threading.Event()
    gone = asyncio.Event()
    leaving = asyncio.create_task(disconnected(world, path, gone))
    assert await asyncio.to_thread(world.model.asked.wait, 10)
    gone.set()
    assert await asyncio.to_thread(world.model.aborted.wait, 10)
    await leaving
    assert world.rag.breakers.states()["model"] == "closed"


async def test_the_next_question_begins_when_the_thread_of_the_one_left_is_out_of_the_model(world: World) -> None:
    await world.rag.warm_up()
    world.model.go, world.model.held = threading.Event(), threading.Event()
    left = asyncio.create_task(world.events(QUESTION))
    assert await asyncio.to_thread(world.model.asked.wait, 10)
    left.cancel()
    assert await asyncio.to_thread(world.model.aborted.wait, 10)
    with pytest.raises(asyncio.CancelledError):
        await left
    asked = len(world.model.prompts)
    following = asyncio.create_task(world.events("Who built it?"))
    assert (await world.http.get("/healthz")).status_code == 200
    assert len(world.model.prompts) == asked
    world.model.held.set()
    world.model.go.set()
    assert (await following)[-1] == ("done", {"cached": False, "generated": True})
    assert world.model.most_inside == 1


async def test_callers_who_left_make_nobody_wait(world: World) -> None:
    world.model.go, world.model.held = threading.Event(), threading.Event()
    generator = Generator(world.model)

    async def ask() -> list[str]:
        return [piece async for piece in generator.stream("x", 2)]

    for _ in range(QUEUE * 3):
        call = asyncio.create_task(ask())
        assert await asyncio.to_thread(world.model.asked.wait, 10)
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    world.model.go.set()
    world.model.held.set()
    assert (await ask(), len(world.model.prompts)) == ([" One", " two"], 2)
    await generator.close()


async def test_the_caller_after_the_queue_is_sent_away_and_the_breaker_stays_closed(world: World) -> None:
    await world.rag.warm_up()
    world.model.go = threading.Event()
    asking = [asyncio.create_task(world.events(f"{QUESTION} {i}")) for i in range(QUEUE + 4)]
    first = asyncio.as_completed(asking)
    refused = [(await next(first))[-1][1].get("reason") for _ in range(3)]
    assert refused == ["too many questions at once"] * 3
    world.model.go.set()
    answers = [(await each)[-1][1]["generated"] for each in asking]
    assert (answers.count(True), world.rag.breakers.states()["model"]) == (QUEUE + 1, "closed")


async def test_closed_it_ends_what_runs_and_what_waits(world: World) -> None:
    world.model.go = threading.Event()
    generator = Generator(world.model)

    async def ask() -> None:
        async for _ in generator.stream("x", 2):
            pass

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    assert await asyncio.to_thread(world.model.asked.wait, 10)
    await generator.close()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(end) for end in ends] == [AbortedError] * 3


async def test_stopped_while_it_warms_up_its_thread_leaves_the_model(world: World) -> None:
    reads = threading.Event()

    def complete(prompt: str, max_tokens: int, abort: Abort) -> Iterator[str]:
        reads.set()
        while not abort.is_set():
            yield ""
        world.model.aborted.set()

    world.model.complete = complete  # type: ignore[method-assign]
    warming = asyncio.create_task(world.rag.warm_up())
    assert await asyncio.to_thread(reads.wait, 10)
    warming.cancel()
    await asyncio.gather(warming, return_exceptions=True)
    await world.rag.close()
    assert (world.model.aborted.is_set(), world.rag.generator) == (True, None)


@pytest.mark.parametrize("path", ["/stream", "/query"])
async def test_a_question_that_does_not_fit_is_told_in_tokens_and_is_no_fault_of_the_model(
    path: str, world: World
) -> None:
    await world.rag.warm_up()
    for _ in range(10):
        answer = await world.http.post(path, json={"question": "\U00012000" * 2000})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "the question is too long: it has 8000 tokens, and at most 1998 fit into the model's context of 2048 tokens;"
        " shorten the question",
    )
    assert world.rag.breakers.states()["model"] == "closed"
    assert (await world.events(QUESTION))[-1] == ("done", {"cached": False, "generated": True})


@pytest.mark.parametrize("max_tokens", [1, 96, 512])
@pytest.mark.parametrize("length", [1, 100, 460])
async def test_prompt_and_answer_fit_a_context_of_512(length: int, max_tokens: int, world: World) -> None:
    world.model.context = 512
    await world.rag.warm_up()
    asked = {"question": "t" * length, "max_tokens": max_tokens, "top_k": 10}
    assert (await world.http.post("/query", json=asked)).json()["generated"]
    assert "t" * length in world.model.prompts[-1]
    assert min(max_tokens, 32) <= world.model.max_tokens <= max_tokens
    assert world.model.count(world.model.prompts[-1]) + world.model.max_tokens <= 512


async def test_an_answer_for_another_context_is_another_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.rag.warm_up()
    monkeypatch.setenv("XNAI_CTX", "2048")
    await world.events(QUESTION)
    monkeypatch.setenv("XNAI_CTX", "512")
    assert (await world.events(QUESTION))[-1][1]["cached"] is False


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/stream", rb'{"question": "a \ud800"}', 422, id="stream-lone-surrogate"),
        pytest.param("/query", rb'{"question": "a \ud800"}', 422, id="query-lone-surrogate"),
        pytest.param("/documents", rb'{"text": "a \udc00"}', 422, id="document-lone-surrogate"),
        pytest.param("/query", rb'{"question": "a \u0000 b"}', 200, id="nul"),
    ],
)
async def test_characters_that_are_no_text(path: str, body: bytes, status: int, world: World) -> None:
    await world.rag.warm_up()
    answer = await world.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, world.rag.breakers.states()["model"]) == (status, "closed")


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
        pytest.param("/documents", {"text": "  \n "}, 422, id="a document of spaces"),
        pytest.param("/documents", {"text": "x" * ((1 << 20) + 1)}, 422, id="a document too long"),
        pytest.param("/documents", {}, 422, id="no text"),
        pytest.param("/stream", {"question": ""}, 422, id="an empty question"),
        pytest.param("/query", {"question": "x", "max_tokens": 0}, 422, id="no tokens"),
        pytest.param("/crawl", {"url": "file:///etc/passwd"}, 422, id="a file url"),
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
