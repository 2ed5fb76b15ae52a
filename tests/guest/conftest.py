"""On a machine with systemd and cgroup v2 whose stack runs: its limits are met and its memory is taken, on purpose.

`make test-guest` makes such a machine (`hack/guest`) and runs these tests in it. They can end other programs, and are
skipped elsewhere.
"""

import contextlib
import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stack.conftest import ROOT, Stack, podman
from tests.waiting import wait_until
from xnai_operator.config import Config
from xnai_operator.host import node

METRICS = "http://127.0.0.1:9469/metrics"
QUESTION = "http://127.0.0.1:8000/query"


@pytest.fixture(scope="session", autouse=True)
def _guest() -> None:
    if "XNAI_GUEST" not in os.environ:
        pytest.skip("takes all memory of the machine: `make test-guest` makes one for it")


@pytest.fixture(scope="session")
def controllers() -> frozenset[str]:
    """The cgroup controllers that systemd delegated to this user."""
    return frozenset(node.controllers(Path("/sys"), os.getuid())[1])


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The user's own installation, all services Ready. The RAG API has answered once: later the answer is kept, for in
    emulation the model needs minutes for a new one."""
    environ = dict(os.environ)
    made = Stack(Config.read(environ), ROOT / "manifests", environ, "default")
    assert all(ready(made).values())
    assert ask(600).well
    return made


def ready(stack: Stack) -> dict[str, bool]:
    """Service -> whether it is Ready."""
    rows = json.loads(stack.xnai("status", "-o", "json", code=None).stdout)
    return {row["service"]: row["ready"] for row in rows}


def condition(stack: Stack, name: str, kind: str) -> dict[str, str]:
    """A condition of a service; empty when it has none of this type."""
    body = json.loads(stack.kubectl("get", "xs", name, "-o", "json").stdout)
    found: list[dict[str, str]] = body.get("status", {}).get("conditions") or []
    return next((one for one in found if one["type"] == kind), {})


def metric(name: str, *labels: str) -> float | None:
    """The sample of this name with all of these labels; None when there is none."""
    with urllib.request.urlopen(METRICS, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith((f"{name}{{", f"{name} ")) and all(x in line for x in labels)]
    return float(found[0].split()[-1]) if found else None


@dataclass(frozen=True)
class Answer:
    """What the RAG API answered; `well`: with status 200."""

    well: bool
    text: str
    seconds: float


def ask(seconds: float) -> Answer:
    """Ask the RAG API, always the same question."""
    body = json.dumps({"question": "What is a tmpfs?", "max_tokens": 1}).encode()
    request = urllib.request.Request(QUESTION, body, {"Content-Type": "application/json"})
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return Answer(True, answer.read().decode(), time.monotonic() - began)
    except OSError as error:
        return Answer(False, str(error), time.monotonic() - began)


class Neighbours:
    """What happens to the services of the stack meanwhile: which were not Ready, and what the RAG API answered."""

    def __init__(self, stack: Stack) -> None:
        self.lost: set[str] = set()
        self.answers: list[Answer] = []
        self._stack, self._ended = stack, threading.Event()
        self._names = set(ready(stack))
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._look, self._ask)]

    def _look(self) -> None:
        while not self._ended.wait(2):
            self.lost |= {name for name, well in ready(self._stack).items() if name in self._names and not well}

    def _ask(self) -> None:
        while not self._ended.wait(5):
            self.answers.append(ask(300))

    @contextlib.contextmanager
    def watched(self) -> Iterator["Neighbours"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(310)


class Workload:
    """A service of the least priority that runs `program.py`. `folder` is its diary."""

    def __init__(self, stack: Stack, name: str, folder: Path) -> None:
        self.name, self.folder, self._stack = name, folder, stack

    def apply(self, **spec: Any) -> None:
        body = {
            "apiVersion": "xnai.dev/v1alpha1",
            "kind": "XnaiService",
            "metadata": {"name": self.name, "labels": {"xnai.dev/tmpfs": "small"}},
            "spec": {"image": "localhost/xnai-ui:0.1.0", "priority": -100, "terminationGracePeriodSeconds": 0, **spec},
        }
        done = self._stack.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        assert done.returncode == 0, done.stderr

    def delete(self) -> None:
        self._stack.kubectl("delete", "xs", self.name, "--ignore-not-found")
        wait_until(f"{self.name} is gone", 180, lambda: f"default.{self.name}" not in pods(), 1)

    def until_ready(self) -> None:
        wait_until(f"{self.name} is Ready", 600, lambda: self.condition("Ready").get("status") == "True", 1)

    def condition(self, kind: str) -> dict[str, str]:
        return condition(self._stack, self.name, kind)

    @property
    def pid(self) -> int:
        return int(podman("inspect", f"default.{self.name}-main", "--format", "{{.State.Pid}}").stdout)

    def cgroup(self, file: str) -> str | None:
        """A file of the container's cgroup. Its limits are on the scope; crun puts the processes one level below it."""
        lines = Path(f"/proc/{self.pid}/cgroup").read_text().splitlines()
        own = Path("/sys/fs/cgroup") / next(x for x in lines if x.startswith("0::")).removeprefix("0::/")
        scope = next((path for path in (own, *own.parents) if path.name.endswith(".scope")), own)
        return (scope / file).read_text().strip() if (scope / file).exists() else None

    def cgroup_number(self, file: str, key: str) -> int:
        """One line of a cgroup file of keys and numbers; 0 when there is none."""
        return int(dict(line.split() for line in (self.cgroup(file) or "").splitlines()).get(key, 0))

    def order(self, words: str) -> None:
        """Tell the program what to do, as in "fill hog"."""
        (self.folder / "new").write_text(words)
        (self.folder / "new").rename(self.folder / "order")

    def did(self, what: str) -> list[dict[str, Any]]:
        """What the program wrote down of one kind."""
        log = self.folder / "log"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line["did"] == what]

    def after(self, what: str, count: int, seconds: float) -> dict[str, Any]:
        """Entry number `count` of this kind, once it is there."""
        wait_until(f"{self.name} did {what}", seconds, lambda: len(self.did(what)) >= count)
        return self.did(what)[count - 1]


def pods() -> list[str]:
    """The names of all pods."""
    return podman("pod", "ps", "--format", "{{.Name}}").stdout.split()
