"""Fetching the model files that services name by url and sha256, in the background.

A file is written under a temporary name in the models folder and gets its own name only when its SHA-256 is right:
nothing ever reads a part of a model. What was fetched is kept over failures and restarts, and the next attempt asks for
the rest (RFC 9110, section 14, range requests).
"""

import asyncio
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Final

import aiohttp
import structlog

from xnai_operator.api.xnaiservice import Model
from xnai_operator.memory.model_fetch import ModelFetch
from xnai_operator.models import digest

log = structlog.get_logger()

CHUNK: Final = 1 << 20
"""Bytes of one write."""
FREE_BYTES: Final = 256 << 20
"""A fetch leaves this much of the file system free: images, logs and the API server's data are on it too."""
FIRST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 3600.0
"""The longest wait between attempts: a wrong file may be gigabytes, and its server somebody else's."""
TELL_SECONDS: Final = 5.0
"""How often progress asks for a pass."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)


class FetchError(Exception):
    """An attempt failed. The message says why."""


def delay(failures: int) -> float:
    """Seconds to wait after attempt number `failures` failed: 5, 10, 20 ... 3600."""
    return float(min(FIRST_SECONDS * 2 ** min(failures - 1, 20), LONGEST_SECONDS))


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class ModelFetcher:
    """Fetches into `folder`. `changed` is called when a state is worth a pass; `delay` gives the seconds to wait after
    so many failures, `free` the free bytes of a folder's file system."""

    def __init__(
        self,
        folder: Path,
        changed: Callable[[], None],
        delay: Callable[[int], float] = delay,
        free: Callable[[Path], int] = _free,
    ) -> None:
        self._folder = folder
        self._changed = changed
        self._delay = delay
        self._free = free
        self._tasks: dict[Model, asyncio.Task[None]] = {}
        self._states: dict[Model, ModelFetch] = {}
        self._told_at = 0.0

    def want(self, models: Iterable[Model]) -> Mapping[str, ModelFetch]:
        """Fetch these models, which have a url and are not in the folder, and stop fetching any other. Returns at once,
        with the state of each by file name. Of two models of one file name the first is fetched."""
        wanted: dict[str, Model] = {}
        for model in models:
            wanted.setdefault(model.file, model)
        for model in set(self._tasks) - set(wanted.values()):
            self._tasks.pop(model).cancel()
            self._states.pop(model, None)
        parts = {self._part(model) for model in wanted.values()}
        for part in set(self._folder.glob(".*.part")) - parts:
            part.unlink(missing_ok=True)
        for model in wanted.values():
            if model not in self._tasks or self._tasks[model].done():
                self._states[model] = ModelFetch()
                self._tasks[model] = asyncio.create_task(self._until_fetched(model))
        return {model.file: self._states[model] for model in wanted.values()}

    async def close(self) -> None:
        """Stop fetching; what was fetched is kept for the next time."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _part(self, model: Model) -> Path:
        return self._folder / f".{model.file}.{(model.sha256 or '')[:16]}.part"

    async def _until_fetched(self, model: Model) -> None:
        failures = 0
        while True:
            try:
                await self._attempt(model)
            except (FetchError, aiohttp.ClientError, TimeoutError, OSError) as error:
                failures += 1
                fault = str(error) or type(error).__name__
                log.warning("model not fetched", file=model.file, message=fault, failures=failures)
                self._tell(model, ModelFetch(*_progress(self._states.get(model)), fault), now=True)
                await asyncio.sleep(self._delay(failures))
            else:
                log.info("model fetched", file=model.file)
                self._changed()
                return

    def _tell(self, model: Model, state: ModelFetch, *, now: bool = False) -> None:
        if model not in self._tasks:  # nobody wants it any more
            return
        self._states[model] = state
        if now or time.monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = time.monotonic()
            self._changed()

    async def _attempt(self, model: Model) -> None:
        """Fetch what is missing of one file, verify it, and give it its name. Raises FetchError, ClientError,
        TimeoutError, OSError."""
        if (
            self._folder / model.file
        ).exists():  # the folder was read before the last attempt ended, or a user put it there
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._part(model)
        with part.open("ab") as file:
            start = file.tell()
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, trust_env=True) as session,
                session.get(str(model.url), headers=headers) as answer,
            ):
                if answer.status != 416:  # 416: there is no rest
                    await self._receive(model, file, start, answer)
        await asyncio.to_thread(_verify, part, model)
        await asyncio.to_thread(_keep, part, self._folder / model.file, model)

    async def _receive(self, model: Model, file: IO[bytes], start: int, answer: aiohttp.ClientResponse) -> None:
        """Write the body of an answer to the file's end, or from its beginning when the server sends all of it."""
        if answer.status not in {200, 206}:
            raise FetchError(f"the server answers HTTP {answer.status} {answer.reason or ''}".rstrip())
        if answer.status == 206 and not re.match(rf"bytes {start}-", answer.headers.get("Content-Range", "")):
            file.truncate(0)
            raise FetchError(f"the server sends another range than was asked for (from byte {start})")
        if answer.status == 200:
            file.truncate(0)
        done = file.seek(0, os.SEEK_END)
        total = None if answer.content_length is None else done + answer.content_length
        self._room((total or done) - done, done)
        self._tell(model, ModelFetch(done, total), now=True)
        try:
            async for chunk in answer.content.iter_chunked(CHUNK):
                await asyncio.to_thread(file.write, chunk)
                done += len(chunk)
                self._room(0, done)
                self._tell(model, ModelFetch(done, total))
        except aiohttp.ClientPayloadError as error:
            raise FetchError(f"the connection ended after {done} of {total or 'unknown'} bytes") from error
        await asyncio.to_thread(_to_disk, file)

    def _room(self, missing: int, done: int) -> None:
        """Raises FetchError when the file system cannot hold the missing bytes."""
        if (free := self._free(self._folder)) < missing + FREE_BYTES:
            raise FetchError(
                f"no space: {missing >> 20} MiB are missing after {done >> 20} MiB, {free >> 20} MiB are free in "
                f"{self._folder}, and {FREE_BYTES >> 20} MiB stay free"
            )


def _progress(state: ModelFetch | None) -> tuple[int, int | None]:
    return (0, None) if state is None else (state.done, state.total)


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _keep(part: Path, path: Path, model: Model) -> None:
    """Blocking."""
    part.replace(path)
    digest.store(path, digest.identity(path), model.sha256 or "")


def _verify(part: Path, model: Model) -> None:
    """Raises FetchError when the file has another SHA-256; it is deleted then. Blocking."""
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        part.unlink()
        raise FetchError(f"the file has the SHA-256 {found}, spec.inference.model.sha256 is {model.sha256}")
    # A container's user must be able to read it, whatever the umask of the operator.
    part.chmod(0o644)
