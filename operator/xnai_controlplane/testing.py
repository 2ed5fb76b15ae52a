"""A control plane to throw away, for tests."""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from xnai_controlplane.controlplane import ControlPlane
from xnai_controlplane.supervisor import Supervisor


@contextlib.contextmanager
def temporary() -> Iterator[ControlPlane]:
    """A running control plane with empty storage, on a free port; its processes and files go with the context."""
    directory = Path(tempfile.mkdtemp(prefix="xnai-cp-"))
    plane = ControlPlane(directory / "state", directory / "run")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        folder = asyncio.run_coroutine_threadsafe(plane.prepare(), loop).result(1200)
        supervisor = Supervisor(plane.processes(folder), directory / "logs")
        try:
            asyncio.run_coroutine_threadsafe(supervisor.start(), loop).result(180)
            yield plane
        finally:
            asyncio.run_coroutine_threadsafe(supervisor.stop(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        shutil.rmtree(directory, ignore_errors=True)
