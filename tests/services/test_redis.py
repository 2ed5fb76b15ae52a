"""Streams and access rules on a real Redis."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError

from xnai_services import settings
from xnai_services.curation_worker import Curator
from xnai_services.store import Reader, Writer
from xnai_services.streams import DELIVERIES, Consumer, Entry

Clients = Callable[[str], redis.asyncio.Redis]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("rag-api", ("SET", "xnai:rag:x", "1")),
        ("rag-api", ("XADD", settings.RAW_STREAM, "*", "a", "b")),
        ("rag-api", ("XADD", settings.REQUEST_STREAM, "*", "a", "b")),
        ("crawler", ("XADD", settings.RAW_STREAM, "*", "a", "b")),
        ("crawler", ("XLEN", settings.REQUEST_STREAM)),
        ("curation-worker", ("XADD", settings.DEAD_STREAM, "*", "a", "b")),
    ],
)
async def test_a_service_may_do_its_work(name: str, command: tuple[str, ...], user: Clients) -> None:
    await user(name).execute_command(*command)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", ["rag-api", "crawler", "curation-worker"])
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",), ("KEYS", "*"), ("SCAN", "0"), ("RANDOMKEY",), ("DBSIZE",), ("CONFIG", "GET", "*"), ("INFO",),
        ("EVAL", "return 1", "0"), ("ACL", "LIST"), ("SHUTDOWN",), ("GET", "others:key"),
    ],
)  # fmt: skip
async def test_a_service_may_do_nothing_else(name: str, command: tuple[str, ...], user: Clients) -> None:
    with pytest.raises(NoPermissionError):
        await user(name).execute_command(*command)  # type: ignore[no-untyped-call]


class World:
    """A curation worker on its stream."""

    def __init__(self, user: Clients, directory: Path, raw: Path, **options: Any) -> None:
        self.redis = user("curation-worker")
        self.admin = user("admin")
        self.writer = Writer(directory)
        self.reader = Reader(directory)
        self.curator = Curator(self.writer, raw)
        self.consumer = Consumer(
            self.redis, settings.RAW_STREAM, "curation", self.curator.handle, dead=settings.DEAD_STREAM, **options
        )

    async def put(self, **entry: str) -> None:
        fields: Any = entry
        await self.admin.xadd(settings.RAW_STREAM, fields)

    async def start(self) -> None:
        await self.consumer._group_exists()


@pytest.fixture
def world(user: Clients, tmp_path: Path) -> Any:
    made = World(user, tmp_path, tmp_path, claim_after_ms=0)
    yield made
    made.writer.close()


async def test_a_document_is_indexed_and_taken_off_the_stream(world: World) -> None:
    await world.start()
    await world.put(title="Soup", url="", text="Lentil soup on Thursdays.")
    assert await world.consumer.step(block_ms=10) == 1
    assert (world.reader.search("lentil", 3)[0].title, await world.admin.xlen(settings.RAW_STREAM)) == ("Soup", 0)


async def test_the_same_words_are_one_document(world: World) -> None:
    await world.start()
    for title in ("one", "two"):
        await world.put(title=title, url="", text="The same  words.\n")
    await world.consumer.step(block_ms=10)
    assert world.reader.count() == 1


async def test_what_a_crashed_worker_left_is_taken_over(world: World) -> None:
    await world.start()
    await world.put(title="left", url="", text="Left behind.")
    await world.admin.xreadgroup("curation", "crashed", {settings.RAW_STREAM: ">"})
    assert (await world.consumer.claim(), world.reader.count()) == (1, 1)


async def test_the_hopeless_goes_to_the_dead_letters_and_holds_nobody_up(world: World) -> None:
    await world.start()
    await world.put(file="../../etc/passwd")
    await world.put(title="fine", url="", text="Fine.")
    await world.consumer.step(block_ms=10)
    for _ in range(DELIVERIES):
        await world.consumer.claim()
    dead: Any = await world.admin.xrange(settings.DEAD_STREAM)
    assert ([entry["error"] for _, entry in dead], world.reader.count()) == (["../../etc/passwd is no file name"], 1)
    assert await world.admin.xlen(settings.RAW_STREAM) == 0


async def test_a_raw_document_of_the_crawler_is_read_from_its_file(world: World, tmp_path: Path) -> None:
    await world.start()
    page = '{"url": "http://h/p", "type": "text/html", "text": "<title>T</title><p>Words here.</p>", "fetched_at": 0}'
    (tmp_path / "a.json").write_text(page)
    await world.put(file="a.json")
    await world.consumer.step(block_ms=10)
    found = world.reader.search("words", 1)[0]
    assert (found.title, found.url) == ("T", "http://h/p")


async def test_an_entry_without_dead_letters_is_dropped(user: Clients) -> None:
    async def fail(_: Entry) -> None:
        raise ValueError("no")

    consumer = Consumer(user("crawler"), settings.REQUEST_STREAM, "crawler", fail)
    await consumer._group_exists()
    await user("admin").xadd(settings.REQUEST_STREAM, {"url": "x"})
    await consumer.step(block_ms=10)
    pending: Any = await user("admin").xpending(settings.REQUEST_STREAM, "crawler")
    assert pending["pending"] == 0
