"""The RAG API: streamed answers from curated documents. The sources come before the text. Port 8000."""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import redis.asyncio
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from redis.exceptions import RedisError

from xnai_breakers import Breaker, OpenError, Registry
from xnai_services import prompts, settings, text
from xnai_services.disconnect import ClosingStream, unless_gone
from xnai_services.generator import AbortedError, BusyError, Generator, Model
from xnai_services.llama import LlamaModel
from xnai_services.prompts import QuestionTooLongError
from xnai_services.store import Passage, Reader

log = logging.getLogger(__name__)

CACHE_SECONDS: Final = 3600
MAX_DOCUMENT: Final = 1 << 20


class Question(BaseModel):
    """A question and how long the answer may be."""

    question: Annotated[str, Field(min_length=1, max_length=2000)]
    top_k: Annotated[int, Field(ge=1, le=10)] = 3
    max_tokens: Annotated[int, Field(ge=1, le=512)] = 96


class Document(BaseModel):
    """A document to be indexed."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_DOCUMENT)]
    title: Annotated[str, Field(max_length=200)] = ""
    url: Annotated[str, Field(max_length=2000)] = ""


class CrawlRequest(BaseModel):
    """A page to be fetched, and how many links deep."""

    url: Annotated[str, Field(pattern=r"^https?://", max_length=2000)]
    depth: Annotated[int, Field(ge=0, le=3)] = 0


class Metrics:
    """The figures of /metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter("xnai_rag_answers_total", "Answers", ["outcome"], registry=self.registry)
        self.first_token = Histogram(
            "xnai_rag_first_token_seconds",
            "Time from the request to the first token",
            buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10),
            registry=self.registry,
        )
        self.breaker = Gauge("xnai_breaker_open", "1 when open", ["breaker"], registry=self.registry)


class Rag:
    """Documents, cache and model behind the API. `load` makes the model in a thread. The service is ready after the
    model's first answer."""

    def __init__(self, reader: Reader, client: redis.asyncio.Redis, load: Callable[[], Model]) -> None:
        self.reader = reader
        self.client = client
        self._load = load
        self._loaded: Generator | None = None
        self.generator: Generator | None = None
        """The model once it is warm."""
        self.breakers = Registry()
        self.redis = self.breakers.add(Breaker("redis", failures=5, seconds=30))
        self.model = self.breakers.add(Breaker("model", failures=3, seconds=60, ignore=(BusyError, AbortedError)))
        self.metrics = Metrics()
        self.failure = ""

    async def warm_up(self) -> None:
        """Load the model and answer once: the first decode after a load takes twice as long."""
        try:
            self._loaded = Generator(await asyncio.to_thread(self._load))
            async for _ in self._loaded.stream("Hello", 1):
                pass
        except Exception as error:
            self.failure = str(error)
            log.exception("the model could not be loaded")
            return
        self.generator = self._loaded
        log.info("the model is loaded and warm")

    async def close(self) -> None:
        """Abort the completions and close the connections to Redis."""
        if self._loaded is not None:
            await self._loaded.close()
        await self.client.aclose()

    async def check(self, asked: Question) -> None:
        """Raises QuestionTooLongError; a model that is not loaded takes any question."""
        if self.generator is not None:
            await asyncio.to_thread(prompts.measure, asked.question, self.generator.model)

    async def cached(self, key: str) -> dict[str, Any] | None:
        """An answer from the cache in Redis; None also when Redis does not answer."""
        try:
            async with self.redis.attempt():
                found = await self.client.get(key)
        except (RedisError, OSError, OpenError):
            return None
        return json.loads(found) if found else None

    async def keep(self, key: str, answer: dict[str, Any]) -> None:
        """Store an answer for an hour. A failure of Redis is ignored."""
        with contextlib.suppress(RedisError, OSError, OpenError):
            async with self.redis.attempt():
                await self.client.set(key, json.dumps(answer), ex=CACHE_SECONDS)

    async def events(self, asked: Question) -> AsyncGenerator[tuple[str, Any], None]:
        """The answer as events: `sources`, a `token` for each piece, `done`. After a failure `error` is the last."""
        began = time.monotonic()
        passages = await asyncio.to_thread(self.reader.search, asked.question, asked.top_k)
        sources = [{**asdict(p), "text": p.text[:300]} for p in passages]
        yield "sources", sources
        key = self._key(asked, passages)
        if (kept := await self.cached(key)) is not None:
            self.metrics.answers.labels("cached").inc()
            yield "token", kept["answer"]
            yield "done", {"cached": True, "generated": True}
            return
        pieces: list[str] = []
        try:
            async with contextlib.aclosing(self._generated(asked, passages)) as generated:
                async for piece in generated:
                    if not pieces:
                        self.metrics.first_token.observe(time.monotonic() - began)
                    pieces.append(piece)
                    yield "token", piece
        except (OpenError, BusyError) as error:
            for event in self._passages_only(passages, str(error)):
                yield event
            return
        except Exception as error:
            log.exception("generation failed")
            self.metrics.answers.labels("failed").inc()
            yield "error", {"message": f"the model failed: {error}"}
            return
        self.metrics.answers.labels("generated").inc()
        await self.keep(key, {"answer": "".join(pieces)})
        yield "done", {"cached": False, "generated": True}

    async def _generated(self, asked: Question, passages: list[Passage]) -> AsyncGenerator[str, None]:
        if self.generator is None:
            raise OpenError("model", 5)
        # Before the breaker: a question that does not fit is no fault of the model.
        prompt, tokens = await asyncio.to_thread(
            prompts.fit, asked.question, passages, asked.max_tokens, self.generator.model
        )
        async with (
            self.model.attempt() as attempt,
            contextlib.aclosing(self.generator.stream(prompt, tokens)) as pieces,
        ):
            first = True
            async for piece in pieces:
                attempt.succeeded()
                yield piece.lstrip() if first else piece  # a completion begins with the space after "Answer:"
                first = False

    def _passages_only(self, passages: list[Passage], why: str) -> Iterator[tuple[str, Any]]:
        self.metrics.answers.labels("passages").inc()
        if passages:
            yield "token", "The model is not available. What the documents say:\n\n"
            for passage in passages:
                yield "token", f"{passage.title}: {passage.text[:300]}\n\n"
        else:
            yield "token", "The model is not available, and no document matches the question."
        yield "done", {"cached": False, "generated": False, "reason": why}

    @staticmethod
    def _key(asked: Question, passages: list[Passage]) -> str:
        """Documents are part of the key: a new document makes a new answer. So is the context: it cuts prompts."""
        model = [os.environ.get(name) for name in ("XNAI_MODEL", "XNAI_CTX")]
        parts = [asked.question, asked.max_tokens, [p.document for p in passages], model]
        return f"xnai:rag:answer:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"

    def parts(self) -> dict[str, Any]:
        """The state of model, breakers and index, for /readyz."""
        state: dict[str, Any] = {"model": self.generator is not None, "breakers": self.breakers.states()}
        if self.failure:
            state["failure"] = self.failure
        try:
            state["documents"] = self.reader.count()
        except sqlite3.Error as error:
            state["documents"] = f"unreadable: {error}"
        return state


def build(rag: Rag) -> FastAPI:
    """The application."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        loading = asyncio.create_task(rag.warm_up())
        yield
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await rag.close()

    api = FastAPI(title="XNAi RAG API", lifespan=lifespan)
    for routes in (_health, _questions, _documents):
        api.include_router(routes(rag))

    @api.exception_handler(QuestionTooLongError)
    async def too_long(_: Request, error: QuestionTooLongError) -> Response:
        rag.metrics.answers.labels("refused").inc()
        return JSONResponse({"detail": str(error)}, 422)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # The errors hold the input. FastAPI writes it as UTF-8 and fails where it holds a lone surrogate.
        content = json.dumps({"detail": jsonable_encoder(error.errors())})
        return Response(content, 422, media_type="application/json")

    return api


def _health(rag: Rag) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        parts = await asyncio.to_thread(rag.parts)
        response.status_code = 200 if parts["model"] else 503
        return parts

    @routes.get("/metrics")
    async def metrics() -> Response:
        for name, state in rag.breakers.states().items():
            rag.metrics.breaker.labels(name).set(state == "open")
        return Response(generate_latest(rag.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _questions(rag: Rag) -> APIRouter:
    def admit() -> None:
        if settings.refuses():
            rag.metrics.answers.labels("refused").inc()
            raise HTTPException(503, "the machine is short of memory; try again soon", {"Retry-After": "30"})

    routes = APIRouter(dependencies=[Depends(admit)])

    @routes.post("/stream")
    async def stream(asked: Question) -> StreamingResponse:
        await rag.check(asked)
        body = _server_sent(rag, asked)
        headers = {"Cache-Control": "no-store"}
        return ClosingStream(body, body.aclose, media_type="text/event-stream", headers=headers)

    @routes.post("/query")
    async def query(asked: Question, request: Request) -> dict[str, Any]:
        await rag.check(asked)
        return await unless_gone(request, _whole(rag, asked))

    return routes


async def _server_sent(rag: Rag, asked: Question) -> AsyncGenerator[str, None]:
    async with contextlib.aclosing(rag.events(asked)) as events:
        async for name, data in events:
            yield f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def _whole(rag: Rag, asked: Question) -> dict[str, Any]:
    """The answer in one piece. Raises HTTPException 502 when the model fails."""
    answer: dict[str, Any] = {"answer": ""}
    async with contextlib.aclosing(rag.events(asked)) as events:
        async for name, data in events:
            if name == "sources":
                answer["sources"] = data
            elif name == "token":
                answer["answer"] += data
            elif name == "error":
                raise HTTPException(502, data["message"])
            else:
                answer |= data
    return answer


def _documents(rag: Rag) -> APIRouter:
    routes = APIRouter()

    async def announce(stream: str, entry: dict[str, str]) -> dict[str, str]:
        fields: Any = entry
        # The client waits 50 ms, which a busy machine exceeds once; an entry that arrives twice is one document.
        for last in (False, True):
            try:
                number = await rag.client.xadd(stream, fields, maxlen=settings.STREAM_LENGTH, approximate=True)
                return {"accepted": str(number)}
            except (RedisError, OSError) as error:
                log.warning("redis: %s", error)
                if last:
                    raise HTTPException(503, "Redis does not answer; try again soon", {"Retry-After": "5"}) from error
        raise AssertionError("the last try returns or raises")

    @routes.post("/documents", status_code=202)
    async def documents(given: Document) -> dict[str, str]:
        if not text.clean(given.text):
            raise HTTPException(422, "the document has no text")
        return await announce(settings.RAW_STREAM, {"title": given.title, "url": given.url, "text": given.text})

    @routes.post("/crawl", status_code=202)
    async def crawl(given: CrawlRequest) -> dict[str, str]:
        return await announce(settings.REQUEST_STREAM, {"url": given.url, "depth": str(given.depth)})

    return routes


def main() -> None:
    """`python -m xnai_services.rag_api`."""
    settings.configure_logging()
    # Half a hundredth of a second more than a healthy Redis on the same machine ever needs; no retries.
    client = settings.redis_client("rag-api", timeout=0.05)
    rag = Rag(Reader(settings.folder("XNAI_CURATED", "/data/curated")), client, LlamaModel)
    uvicorn.run(build(rag), host="0.0.0.0", port=8000, log_config=None, timeout_graceful_shutdown=5)  # noqa: S104


if __name__ == "__main__":
    main()
