"""`xnai up`: start the server, apply the manifests, wait until every service is Ready."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from xnai_operator import wiring
from xnai_operator.api.kinds import CUSTOM, CUSTOM_RESOURCE_DEFINITION, NAMESPACE, XNAI_SERVICE
from xnai_operator.cli import background, doctor, documents, serve, status
from xnai_operator.cli.api_server import ContextError, kubeconfig, use_context
from xnai_operator.cli.client import with_api
from xnai_operator.cli.output import Exit, Format, err, fail, out, show
from xnai_operator.cli.readiness import readiness, settled, suspended
from xnai_operator.config import Config
from xnai_operator.errors import ApiError, XnaiError
from xnai_operator.kube import manifests
from xnai_operator.kube.applier import Applier
from xnai_operator.kube.client import KubeClient

SIGN_OF_LIFE_SECONDS: Final = 10.0


class UpError(Exception):
    """Not everything came up. The message says what, and the next command."""


@dataclass(frozen=True)
class Outcome:
    """`kept`: object -> fields that stay as the user has them. `deleted`: objects that stay deleted."""

    kept: dict[str, list[str]]
    deleted: list[str]


def run(files: list[str], context: str | None, timeout: float, *, reset: bool = False) -> None:
    """Start everything, apply the files, wait, and print the services and what to type next."""
    config = Config.read()
    faults = [finding for finding in doctor.examine(config) if finding.level == "fault"]
    if faults:
        fail("; ".join(f"{f.check}: {f.found} ({f.fix})" for f in faults) + "; `xnai doctor` says more")
    wiring.installation(config)  # a damaged key is said here, not in a loop of the operator
    bodies = documents.read(files or [str(manifests.shipped("manifests"))])
    try:
        use_context(config, context)
        with progress() as shown:
            outcome = asyncio.run(up(config, bodies, timeout, shown, reset=reset, recreate=bool(files)))
    except (UpError, ContextError, XnaiError) as error:
        fail(str(error))
    except manifests.ManifestError as error:
        fail(str(error), Exit.USAGE)
    rows = with_api(config, lambda api: status.rows(config, api))
    show(rows, status.columns(rows)[:-1], Format.TABLE)
    for line in kept_lines(outcome):
        out.print(line, soft_wrap=True)
    asleep = sum(row["suspended"] for row in rows)
    out.print(
        f"\n{sum(row['ready'] for row in rows)}/{len(rows) - asleep} Ready{f', {asleep} suspended' if asleep else ''}. "
        "Worth typing next:\n\n"
        f"  export KUBECONFIG={kubeconfig(config)}\n"
        "  kubectl get xs,tp -o wide\n  kubectl explain xnaiservice.spec.storage --recursive\n  xnai logs rag-api",
        soft_wrap=True,
    )


def kept_lines(outcome: Outcome) -> list[str]:
    """What differs from the shipped state because the user wants it so, and how to take the shipped state."""
    lines = [f"{name}: your changes stay: {', '.join(paths)}" for name, paths in outcome.kept.items()]
    lines += [f"{name}: you deleted it, and it stays deleted" for name in outcome.deleted]
    if lines:
        lines.append("to take the shipped state: `xnai up --reset`; only for one: `xnai up --reset -f FILE`")
    return ["", *lines] if lines else []


@dataclass
class Progress:
    """What goes on, for people: a live table on a terminal; else a line whenever something changes, and every ten
    seconds while nothing does."""

    live: Live | None
    started: float

    def __post_init__(self) -> None:
        self._rows: dict[str, tuple[str, float, bool]] = {}
        self._printed: dict[str, float] = {}

    def say(self, item: str, text: str, *, done: bool = False) -> None:
        """State `text` of `item`, with the time since its first state."""
        now = time.monotonic()
        before = self._rows.get(item)
        since = before[1] if before else now
        if before is None or (before[0], before[2]) != (text, done):
            self._rows[item] = (text, since, done)
            self._print(item, text, now)
        elif not done and now - self._printed[item] >= SIGN_OF_LIFE_SECONDS:
            self._print(item, f"{text} (for {now - since:.0f} s)", now)
        if self.live is not None:
            self.live.update(self._table(now))

    def _print(self, item: str, text: str, now: float) -> None:
        self._printed[item] = now
        if self.live is None:
            err.print(f"[{now - self.started:6.1f} s] {item}: {text}")

    def _table(self, now: float) -> Table:
        shown = Table.grid(padding=(0, 2))
        for item, (text, since, done) in self._rows.items():
            seconds = "" if done else f"{now - since:.0f} s"
            mark = Text("✓", "green") if done else Text("…", "yellow")
            shown.add_row(mark, Text(item), Text(text), seconds)
        return shown


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A Progress for the standard error stream."""
    if not err.is_terminal:
        yield Progress(None, time.monotonic())
        return
    with Live(console=err, refresh_per_second=4) as live:
        yield Progress(live, time.monotonic())


async def up(
    config: Config, bodies: list[dict[str, Any]], seconds: float, show: Progress, *, reset: bool, recreate: bool
) -> Outcome:
    """Start the server, apply `bodies`, wait at most `seconds` until the services are Ready. `reset` and `recreate`
    as of Applier. Raises UpError, ManifestError, ApiError."""
    deadline = time.monotonic() + seconds
    background.start(config)
    if background.systemd():
        taken = ", ".join(background.environment(os.environ))
        show.say("systemd unit", f"{background.unit_path(config)}, with {taken} of this shell", done=True)
    api = await _api(config, deadline, show)
    try:
        await _apply(api.apply, manifests.read([manifests.shipped("crds")]), "resource definitions", show)
        await _established(api, deadline)
        applier = Applier(api, reset=reset, recreate=recreate)
        await applier.load()
        namespaces = [body for body in bodies if body["kind"] == NAMESPACE.name]
        await _apply(applier.apply, namespaces, "namespaces", show)
        for secret in await manifests.generate_secrets(api, bodies):
            show.say(f"secret {secret}", "generated", done=True)
        await _apply(applier.apply, [body for body in bodies if body not in namespaces], "manifests", show)
        await applier.save()
        await _operator(config, deadline, show)
        await _ready(api, bodies, deadline, show)
        return Outcome(applier.kept, applier.deleted)
    finally:
        await api.close()


async def _api(config: Config, deadline: float, show: Progress) -> KubeClient:
    """A client, once the API server answers."""
    seen = 0.0
    while True:
        file = kubeconfig(config)
        if file.exists():
            with contextlib.suppress(ApiError):
                api = await KubeClient.connect(file)
                try:
                    await api.get(NAMESPACE.path(name="default"))
                except BaseException:
                    await api.close()
                    raise
                show.say("control plane", "serving", done=True)
                return api
        runs = serve.server_pid(config) is not None
        # Until it runs the log ends with what the last one said.
        show.say("control plane", (background.last_lines(config, 1).strip() if runs else "") or "starting")
        if not runs:
            seen = seen or time.monotonic()
            if time.monotonic() - seen > 10:
                raise UpError(
                    f"xnai serve ended:\n{background.last_lines(config)}\nthe whole log is {config.logs}/serve.log"
                )
        else:
            seen = 0.0
        if time.monotonic() > deadline:
            raise UpError(f"the API server does not answer; its log is {config.logs}/kube-apiserver.log")
        await asyncio.sleep(0.2)


async def _operator(config: Config, deadline: float, show: Progress) -> None:
    """Until the operator has made a pass: what statuses say may be of before a reboot until then."""
    while not _alive(config.operator_pid):
        show.say("operator", "starting")
        if time.monotonic() > deadline:
            raise UpError(f"the operator made no pass; its log is {config.logs}/operator.log")
        await asyncio.sleep(0.1)
    show.say("operator", "running", done=True)


def _alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


async def _apply(
    apply: Callable[[dict[str, Any]], Awaitable[object]], bodies: list[dict[str, Any]], what: str, show: Progress
) -> None:
    if not bodies:
        return
    show.say(what, "applying")
    applied = 0
    for body in bodies:
        try:
            applied += await apply(body) is not False
        except ApiError as error:
            raise UpError(f"{body['kind']} {body['metadata']['name']}: {error.message}") from error
    show.say(what, f"{applied} applied", done=True)


async def _established(api: KubeClient, deadline: float) -> None:
    for kind in CUSTOM:
        path = CUSTOM_RESOURCE_DEFINITION.path(name=kind.definition_name)
        while True:
            found = await api.get(path)
            conditions = {c["type"]: c["status"] for c in (found or {}).get("status", {}).get("conditions") or []}
            if conditions.get("Established") == "True":
                break
            if time.monotonic() > deadline:
                raise UpError(f"the API server does not serve {kind.definition_name}")
            await asyncio.sleep(0.1)


async def _ready(api: KubeClient, bodies: list[dict[str, Any]], deadline: float, show: Progress) -> None:
    """Until every service that is there is Ready or suspended. Raises UpError."""
    wanted = [
        (body["metadata"].get("namespace", "default"), body["metadata"]["name"])
        for body in bodies
        if body["kind"] == XNAI_SERVICE.name
    ]
    while True:
        states = [await api.get(XNAI_SERVICE.path(ns, name)) for ns, name in wanted]
        present = [state for state in states if state is not None]
        for state in present:
            ready, text = readiness(state)
            show.say(state["metadata"]["name"], text, done=ready or suspended(state))
        if all(settled(state) for state in present):
            return
        if time.monotonic() > deadline:
            late = [s["metadata"]["name"] for s in present if not settled(s)]
            raise UpError(f"not Ready in time: {', '.join(late)}; `kubectl describe xs {late[0]}` says why")
        await asyncio.sleep(0.25)
