"""Health endpoints of a worker: /healthz answers while the process lives, /readyz while all its parts work."""

from collections.abc import Callable

from fastapi import FastAPI, Response


def app(ready: Callable[[], dict[str, bool]]) -> FastAPI:
    """`ready`: part -> whether it works."""
    api = FastAPI(openapi_url=None)

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/readyz")
    async def readyz(response: Response) -> dict[str, bool]:
        parts = ready()
        response.status_code = 200 if all(parts.values()) else 503
        return parts

    return api
