"""What tests of several folders need: a real rootless Podman service of its own for the session, a tiny image."""

import contextlib
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from xnai_operator.backends.podman.backend import PodmanBackend, connect
from xnai_operator.cli import serve
from xnai_operator.render.installation import Installation

IMAGE = "localhost/xnai-test:1"


# The machine is shared and the checkout may be read-only: no deadline, no example database.
settings.register_profile("project", deadline=None, database=None)
settings.load_profile("project")

MARKS = {
    "podman": ["podman"],
    "contract": [],
    "services": [],
    "cluster": ["cluster"],
    "stack": ["podman", "cluster", "slow"],
    "guest": ["guest", "slow"],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in MARKS.get(item.path.relative_to(Path(__file__).parent).parts[0], []):
            item.add_marker(mark)


@pytest.fixture(scope="session")
def runtime_dir() -> Iterator[Path]:
    path = Path(os.environ["XDG_RUNTIME_DIR"]) / f"xnai-test-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("image")
    archive = folder / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for applet in (
            "sh",
            "sleep",
            "cat",
            "df",
            "id",
            "dd",
            "httpd",
            "nc",
            "wget",
            "ls",
            "cp",
            "chmod",
            "echo",
            "nslookup",
            "grep",
            "timeout",
            "true",
            "ln",
            "mkdir",
        ):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        owned = tarfile.TarInfo("owned-by-5")
        owned.type, owned.uid, owned.gid, owned.mode = tarfile.DIRTYPE, 5, 5, 0o750
        tar.addfile(owned)
    subprocess.run(
        ["podman", "import", "--change", "CMD sleep 1000", str(archive), IMAGE], check=True, capture_output=True
    )
    return IMAGE


@contextlib.contextmanager
def served(process: "subprocess.Popen[bytes]", ready: Callable[[], bool], seconds: float) -> Iterator[None]:
    """A server while it is needed: from when it is ready, which may take so long, until it ended."""
    deadline = time.monotonic() + seconds
    try:
        while not ready():
            assert process.poll() is None, f"{process.args!r} ended"
            assert time.monotonic() < deadline, f"{process.args!r} is not ready in {seconds} s"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def podman_socket(runtime_dir: Path) -> Iterator[str]:
    socket = runtime_dir / "podman.sock"
    settings = runtime_dir / "containers.conf"
    settings.write_text(serve.CONTAINERS_CONF)
    process = subprocess.Popen(
        ["podman", "system", "service", "--time=0", f"unix://{socket}"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CONTAINERS_CONF_OVERRIDE": str(settings)},
    )
    with served(process, socket.exists, 20):
        yield str(socket)


@pytest.fixture
def installation(runtime_dir: Path) -> Installation:
    return Installation(str(runtime_dir), str(runtime_dir / "models"), os.urandom(32))


@contextlib.asynccontextmanager
async def on_podman(socket: str, installation: Installation) -> AsyncIterator[PodmanBackend]:
    """A back end on the session's Podman; its pods go with it."""
    backend = connect(socket, installation)
    yield backend
    for pod in (await backend.runtime.observe()).pods.values():
        await backend.runtime.stop(pod.name, 0)
    await backend.runtime.close()


@pytest_asyncio.fixture
async def podman_backend(podman_socket: str, installation: Installation, image: str) -> AsyncIterator[PodmanBackend]:
    async with on_podman(podman_socket, installation) as backend:
        yield backend
