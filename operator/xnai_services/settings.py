"""The settings of the services, from the environment and from mounted files."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SECRETS: Final = Path(os.environ.get("XNAI_SECRETS", "/run/secrets"))
RAW_STREAM: Final = "xnai:curation:raw"
DEAD_STREAM: Final = "xnai:curation:dead"
REQUEST_STREAM: Final = "xnai:crawler:requests"
STREAM_LENGTH: Final = 10_000
"""Streams are cut near this length: what nobody reads must not fill Redis."""


def integer(name: str, default: int) -> int:
    """A number from the environment."""
    return int(os.environ.get(name, default))


def folder(name: str, default: str) -> Path:
    """A folder from the environment."""
    return Path(os.environ.get(name, default))


def refuses(closed: int = 4) -> bool:
    """Whether the operator asks to refuse new requests, because the machine is short of memory and this service may
    be stopped next: the file $XNAI_PRESSURE holds a step of at least `closed`."""
    try:
        return int(Path(os.environ.get("XNAI_PRESSURE", "")).read_text()) >= closed
    except (OSError, ValueError):  # no operator, or no step yet
        return False


def redis_client(user: str, *, timeout: float, retries: int = 0) -> redis.asyncio.Redis:
    """A client of the stack's Redis as `user`, its password read from /run/secrets/redis/<user>-password.

    `timeout` in seconds for connecting and for every answer. The library's defaults wait 118 s for a hung one.
    """
    file = SECRETS / "redis" / f"{user}-password"
    return redis.asyncio.Redis(
        host=os.environ.get("REDIS_HOST", "redis"),
        port=integer("REDIS_PORT", 6379),
        username=user if file.exists() else None,
        password=file.read_text().strip() if file.exists() else None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), retries),
        decode_responses=True,
    )


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def configure_logging() -> None:
    """One JSON object a line on standard output; request lines of the servers are left out."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("uvicorn.access", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
