"""Fetching models from a server on this machine: what ends in the models folder, and what is said meanwhile."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from xnai_operator.api.xnaiservice import Model
from xnai_operator.memory.model_fetch import ModelFetch
from xnai_operator.models.fetch import FREE_BYTES, ModelFetcher, delay

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = "a.gguf"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def whole(request: web.Request) -> web.StreamResponse:
    """The file, or the range asked for."""
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    if "Range" not in request.headers:
        return web.Response(body=CONTENT)
    if start >= len(CONTENT):
        return web.Response(status=416)
    headers = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
    return web.Response(status=206, body=CONTENT[start:], headers=headers)


async def cut(request: web.Request) -> web.StreamResponse:
    """Half of the file, then the connection ends."""
    answer = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
    await answer.prepare(request)
    await answer.write(CONTENT[: len(CONTENT) // 2])
    assert request.transport is not None
    request.transport.close()
    return answer


async def slow(request: web.Request) -> web.StreamResponse:
    """Half of the file, and no more."""
    answer = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
    await answer.prepare(request)
    await answer.write(CONTENT[: len(CONTENT) // 2])
    await asyncio.Event().wait()
    return answer


async def other(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"another file")


async def absent(request: web.Request) -> web.StreamResponse:
    return web.Response(status=404)


async def wrong_range(request: web.Request) -> web.StreamResponse:
    return web.Response(status=206, body=CONTENT, headers={"Content-Range": f"bytes 1-{len(CONTENT)}/*"})


async def without_ranges(request: web.Request) -> web.StreamResponse:
    return web.Response(body=CONTENT)


class Source:
    """A server. Each request is answered by the next of `answers`, later ones by the last."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [whole]
        self.ranges: list[str | None] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range"))
        return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)


class Scene:
    """A fetcher, its server and its folder. Attempts follow each other at once, the `last` of them waits."""

    def __init__(self, folder: Path, source: Source, url: str) -> None:
        self.folder, self.source, self.url = folder, source, url
        self.changed = asyncio.Event()
        self.attempts = 1
        self.free = 1 << 40
        self.fetcher = self.new()

    def new(self) -> ModelFetcher:
        return ModelFetcher(self.folder, self.changed.set, self._delay, lambda _: self.free)

    def _delay(self, failures: int) -> float:
        return 0 if failures < self.attempts else 3600

    def model(self, **given: Any) -> Model:
        return Model(**({"file": FILE, "url": self.url, "sha256": SHA256} | given))

    async def until(self, condition: Callable[[ModelFetch | None], bool], **given: Any) -> ModelFetch | None:
        """The state once it is so, with the passes in which it is asked for; None when the file is there."""
        async with asyncio.timeout(10):
            while True:
                model = self.model(**given)
                there = (self.folder / model.file).exists()
                state = None if there else self.fetcher.want([model])[model.file]
                if condition(state):
                    return state
                await self.changed.wait()
                self.changed.clear()

    async def fault(self, **given: Any) -> str:
        state = await self.until(lambda state: state is None or bool(state.fault), **given)
        assert state is not None
        return state.fault

    def asked(self) -> list[str]:
        """What each request asked for."""
        return ["all" if given is None else "rest" for given in self.source.ranges]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.suffix != ".sha256")


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    source, app = Source(), web.Application()
    app.router.add_get("/", source.answer)
    async with TestServer(app) as server:
        made = Scene(tmp_path / "models", source, str(server.make_url("/")))
        yield made
        await made.fetcher.close()


def done(state: ModelFetch | None) -> bool:
    return state is None


async def test_a_missing_model_is_fetched(scene: Scene) -> None:
    await scene.until(done)
    assert (scene.files(), (scene.folder / FILE).read_bytes() == CONTENT) == ([FILE], True)


async def test_a_model_is_readable_for_the_user_of_a_container(scene: Scene) -> None:
    before = os.umask(0o077)
    try:
        await scene.until(done)
    finally:
        os.umask(before)
    assert (scene.folder / FILE).stat().st_mode & 0o777 == 0o644


async def test_a_fetch_is_begun_without_waiting_for_it(scene: Scene) -> None:
    assert scene.fetcher.want([scene.model()]) == {FILE: ModelFetch()}


async def test_what_the_server_has_sent_is_told(scene: Scene) -> None:
    scene.source.answers = [slow]
    state = await scene.until(lambda state: state is not None and state.total is not None)
    assert state == ModelFetch(0, len(CONTENT))
    assert FILE not in scene.files()


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param([cut, whole], ["all", "rest"], id="the rest"),
        pytest.param([cut, without_ranges], ["all", "rest"], id="the rest, and takes all of it"),
        pytest.param([absent, whole], ["all", "all"], id="all when nothing came"),
        pytest.param([other, whole], ["all", "all"], id="all after a wrong sum"),
        pytest.param([cut, wrong_range, whole], ["all", "rest", "all"], id="all after a wrong range"),
    ],
)
async def test_the_next_attempt_asks_for(scene: Scene, answers: list[Answer], asked: list[str]) -> None:
    scene.source.answers, scene.attempts = list(answers), len(answers)
    await scene.until(done)
    assert (scene.asked(), (scene.folder / FILE).read_bytes() == CONTENT) == (asked, True)


async def test_a_part_outlives_the_operator(scene: Scene) -> None:
    scene.source.answers = [cut, whole]
    await scene.fault()
    (part,) = scene.folder.iterdir()
    size = part.stat().st_size
    await scene.fetcher.close()
    scene.fetcher = scene.new()
    await scene.until(done)
    assert scene.source.ranges == [None, f"bytes={size}-"]


async def test_a_part_that_is_whole_only_gets_its_name(scene: Scene) -> None:
    scene.folder.mkdir()
    (scene.folder / f".{FILE}.{SHA256[:16]}.part").write_bytes(CONTENT)
    await scene.until(done)
    assert (scene.source.ranges, scene.files()) == ([f"bytes={len(CONTENT)}-"], [FILE])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(absent, "the server answers HTTP 404 Not Found", id="HTTP error"),
        pytest.param(other, f"has the SHA-256 {hashlib.sha256(b'another file').hexdigest()}, spec", id="wrong sum"),
        pytest.param(cut, f" of {len(CONTENT)} bytes", id="connection ends"),
    ],
)
async def test_a_failure_is_told_and_leaves_no_model(scene: Scene, answer: Answer, text: str) -> None:
    scene.source.answers = [answer]
    assert text in await scene.fault()
    assert FILE not in scene.files()


async def test_a_server_that_does_not_answer_is_told(scene: Scene) -> None:
    assert "Cannot connect to host 127.0.0.1:1" in await scene.fault(url="http://127.0.0.1:1/")


async def test_a_file_for_which_there_is_no_space_is_not_begun(scene: Scene) -> None:
    scene.free = FREE_BYTES + len(CONTENT) - 1
    assert "no space: 2 MiB are missing after 0 MiB, 258 MiB are free" in await scene.fault()
    (part,) = scene.folder.iterdir()
    assert part.stat().st_size == 0


async def test_what_nobody_wants_any_more_is_deleted(scene: Scene) -> None:
    scene.source.answers = [cut]
    await scene.fault()
    scene.fetcher.want([])
    assert scene.files() == []


async def test_another_url_is_fetched_in_place_of_the_first(scene: Scene) -> None:
    scene.source.answers = [absent]
    await scene.fault()
    scene.source.answers = [whole]
    await scene.until(done, url=f"{scene.url}?second")
    assert scene.files() == [FILE]


async def test_of_two_models_of_one_name_the_first_is_fetched(scene: Scene) -> None:
    scene.fetcher.want([scene.model(), scene.model(sha256="0" * 64)])
    await scene.until(done)
    assert scene.files() == [FILE]


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (9, 1280), (12, 3600), (5000, 3600)])
def test_the_delay_grows_to_an_hour(failures: int, seconds: float) -> None:
    assert delay(failures) == seconds
