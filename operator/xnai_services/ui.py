"""The chat page: two files without dependencies, and a small server that passes its requests on. Port 8001.

The original stack uses Chainlit, which takes some hundred megabytes; this takes forty.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from xnai_services import settings
from xnai_services.disconnect import ClosingStream

log = logging.getLogger(__name__)

STATIC: Final = Path(__file__).with_name("static")
HEALTH: Final = {
    "rag-api": "http://rag-api:8000/readyz",
    "crawler": "http://crawler:8003/readyz",
    "curation-worker": "http://curation-worker:8004/readyz",
    "mkdocs": "http://mkdocs:8000/",
}
JSON: Final = {"Content-Type": "application/json"}
MAX_BODY: Final = 2 << 20
# Only this page's own script, style and requests.
POLICY: Final = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'"


def build(rag_url: str, http: httpx.AsyncClient, health: dict[str, str] = HEALTH) -> FastAPI:
    """The application. `rag_url`: where the RAG API answers."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await http.aclose()

    api = FastAPI(openapi_url=None, lifespan=lifespan)
    api.include_router(_page())
    api.include_router(_health(http, health))
    api.include_router(_rag(http, rag_url))
    return api


def _page() -> APIRouter:
    routes = APIRouter()

    @routes.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": POLICY})

    @routes.get("/chat.js")
    async def script() -> FileResponse:
        return FileResponse(STATIC / "chat.js")

    return routes


def _health(http: httpx.AsyncClient, health: dict[str, str]) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/api/health")
    async def services() -> dict[str, str]:
        async def ask(url: str) -> str:
            try:
                answer = await http.get(url, timeout=2)
            except httpx.HTTPError:
                return "no answer"
            return "ready" if answer.is_success else "not ready"

        return dict(zip(health, await asyncio.gather(*map(ask, health.values())), strict=True))

    return routes


def _rag(http: httpx.AsyncClient, rag_url: str) -> APIRouter:
    """The requests that go on to the RAG API."""
    routes = APIRouter(prefix="/api")

    @routes.post("/stream")
    async def stream(request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_BODY:
            return JSONResponse({"detail": "too long"}, 413)
        sent = http.build_request("POST", f"{rag_url}/stream", content=body, headers=JSON, timeout=300)
        try:
            answer = await http.send(sent, stream=True)
        except httpx.HTTPError:
            return JSONResponse({"detail": "the RAG API does not answer"}, 502)
        kind = answer.headers.get("content-type", "application/json")
        later = {key: answer.headers[key] for key in ("retry-after",) if key in answer.headers}
        status = answer.status_code
        return ClosingStream(_pieces(answer), answer.aclose, status_code=status, media_type=kind, headers=later)

    @routes.post("/documents")
    async def documents(request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_BODY:
            return JSONResponse({"detail": f"larger than {MAX_BODY >> 20} MiB"}, 413)
        try:
            answer = await http.post(f"{rag_url}/documents", content=body, headers=JSON, timeout=10)
        except httpx.HTTPError:
            return JSONResponse({"detail": "the RAG API does not answer"}, 502)
        content: Any = answer.content
        return Response(content, answer.status_code, media_type="application/json")

    return routes


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.HTTPError as error:
        log.warning("the RAG API broke off: %s", error)


def main() -> None:
    """`python -m xnai_services.ui`."""
    settings.configure_logging()
    api = build(os.environ.get("RAG_API_URL", "http://rag-api:8000"), httpx.AsyncClient())
    uvicorn.run(api, host="0.0.0.0", port=8001, log_config=None, timeout_graceful_shutdown=5)  # noqa: S104


if __name__ == "__main__":
    main()
