"""A real Redis for the workloads' streams, with the access rules of the manifest."""

import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis
import redis.asyncio
import yaml

from tests.conftest import served

ROOT = Path(__file__).resolve().parents[2]
USERS = ("admin", "rag-api", "crawler", "curation-worker")


@pytest.fixture(scope="session")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The path of its unix socket. Every user's password is the user's name."""
    server = shutil.which("redis-server")
    assert server is not None, "redis-server is not installed; hack/env has it, or: apt install redis-server"
    folder = tmp_path_factory.mktemp("redis")
    rules = yaml.safe_load((ROOT / "manifests/redis/config.yaml").read_text())["data"]["users.acl"]
    for user in USERS:
        rules = rules.replace(f"@{user}@", "#" + hashlib.sha256(user.encode()).hexdigest())
    (folder / "users.acl").write_text(rules)
    path = folder / "redis.sock"
    process = subprocess.Popen(
        [server, "--port", "0", "--unixsocket", path, "--aclfile", folder / "users.acl", "--dir", folder, "--save", ""],
        stdout=subprocess.DEVNULL,
    )

    def answers() -> bool:
        try:
            with redis.Redis(unix_socket_path=str(path), username="admin", password="admin") as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    with served(process, answers, 10):
        yield str(path)


@pytest_asyncio.fixture
async def user(socket: str) -> AsyncIterator[Callable[[str], redis.asyncio.Redis]]:
    """A client by user name; the database is empty at first."""
    made: list[redis.asyncio.Redis] = []

    def client(name: str) -> redis.asyncio.Redis:
        made.append(redis.asyncio.Redis(unix_socket_path=socket, username=name, password=name, decode_responses=True))
        return made[-1]

    await client("admin").flushall()
    yield client
    for each in made:
        await each.aclose()
