"""The commands. Each is a few lines: read options, call, print."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml

from xnai_controlplane import BinariesError, StartError
from xnai_operator import wiring
from xnai_operator.cli import background, doctor, preview, serve, size, status, up
from xnai_operator.cli.output import Exit, Format, err, fail, out, show
from xnai_operator.cli.root import exec_as_user
from xnai_operator.config import Config
from xnai_operator.errors import ApiError, BackendError, XnaiError
from xnai_operator.kube import manifests
from xnai_operator.kube.client import KubeClient
from xnai_operator.memory.model_size import ModelOptions
from xnai_operator.models.dry_run import DryRunError
from xnai_operator.models.gguf import GgufError

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="A private AI stack on rootless Podman, described by Kubernetes resources.",
    epilog="Exit codes: 0 all is well, 1 something is not, 2 wrong usage or input, 3 nothing answers.",
)


class KvChoice(StrEnum):
    """Types of the KV cache."""

    F32 = "f32"
    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for scripts")]
Files = Annotated[
    list[str],
    typer.Option("-f", "--filename", help="a file, a folder of *.yaml, or - for standard input", show_default=False),
]


def _bodies(files: list[str]) -> list[dict[str, Any]]:
    try:
        piped = manifests.parse(sys.stdin.read(), "standard input") if "-" in files else []
        return [*manifests.read(Path(f) for f in files if f != "-"), *piped]
    except manifests.ManifestError as error:
        fail(str(error), Exit.USAGE)


def _with_api(config: Config, work: Callable[[KubeClient], Awaitable[T]]) -> T:
    """Run `work` with a client; what does not answer ends the command with 3."""
    file = serve.kubeconfig(config)
    if not file.exists():
        fail("nothing was started yet; run `xnai up`", Exit.UNAVAILABLE)

    async def run() -> T:
        api = await KubeClient.connect(file)
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(run())
    except ApiError as error:
        fail(error.message if error.status else f"{error.message}; run `xnai up`", Exit.UNAVAILABLE)
    except BackendError as error:
        fail(error.message, Exit.UNAVAILABLE)


@app.command(
    name="up", epilog="Examples:\n\n  xnai up\n\n  xnai up -f my-stack/ --timeout 120\n\n  xnai up --context kind-dev"
)
def up_command(
    filename: Files = [],  # noqa: B006 - typer's way to say "none given"
    context: Annotated[str | None, typer.Option(help="use the API server of this context of your kubeconfig")] = None,
    timeout: Annotated[float, typer.Option(help="seconds to wait until all services are Ready")] = 600,
) -> None:
    """Start everything in the background, apply the manifests, wait until all services are Ready."""
    config = Config.read()
    faults = [finding for finding in doctor.examine(config) if finding.level == "fault"]
    if faults:
        fail("; ".join(f"{f.check}: {f.found} ({f.fix})" for f in faults) + "; `xnai doctor` says more")
    bodies = _bodies(filename or [str(manifests.shipped("manifests"))])
    try:
        serve.use_context(config, context)
        with up.progress() as progress:
            asyncio.run(up.up(config, bodies, timeout, progress))
    except (up.UpError, serve.ServeError, XnaiError) as error:
        fail(str(error))
    except manifests.ManifestError as error:
        fail(str(error), Exit.USAGE)
    rows = _with_api(config, lambda api: status.rows(config, api))
    show(rows, status.COLUMNS[:-1], Format.TABLE)
    out.print(
        f"\n{sum(row['ready'] for row in rows)}/{len(rows)} Ready. Worth typing next:\n\n"
        f"  export KUBECONFIG={serve.kubeconfig(config)}\n"
        "  kubectl get xs,tp -o wide\n  kubectl explain xnaiservice.spec.storage --recursive\n  xnai logs rag-api",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def down() -> None:
    """Stop the pods and everything of ours. Persistent data stay; `xnai up` goes on from there."""
    config = Config.read()
    try:
        ran = background.stop(config)
        stopped = asyncio.run(_stop_pods(config))
    except (TimeoutError, BackendError) as error:
        fail(str(error))
    if not ran and not stopped:
        out.print("nothing was running")
        return
    out.print(f"stopped {len(stopped)} pods; persistent volumes and settings stay")


async def _stop_pods(config: Config) -> list[str]:
    """Stop every pod of ours, with a Podman service for as long as it takes."""
    if not config.runtime.is_dir():
        return []
    service = serve.podman_service(config.podman_socket)
    process = await asyncio.create_subprocess_exec(
        *service.argv, env={**os.environ, **service.env}, stderr=asyncio.subprocess.DEVNULL
    )
    backend = wiring.backend(config)
    try:
        while not await service.ready():
            if process.returncode is not None:
                return []
            await asyncio.sleep(0.05)
        pods = list((await backend.observe()).pods)
        await asyncio.gather(*(backend.stop(name, 10) for name in pods))
        await backend.sweep(set())
        return pods
    finally:
        await backend.close()
        process.terminate()
        await process.wait()


@app.command(name="serve")
def serve_command() -> None:
    """Run the control plane, the Podman service and the operator in the foreground, until Ctrl-C."""

    def progress(message: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)  # noqa: T201 - a log line

    try:
        asyncio.run(serve.serve(Config.read(), progress))
    except (serve.ServeError, StartError, BinariesError) as error:
        fail(str(error))


@app.command(
    name="status", epilog="Examples:\n\n  xnai status\n\n  xnai status -o json | jq '.[] | select(.ready | not)'"
)
def status_command(output: Output = Format.TABLE) -> None:
    """Every service: ready or why not, memory and tmpfs asked for and used, where it answers."""
    config = Config.read()
    rows = _with_api(config, lambda api: status.rows(config, api))
    if output is Format.TABLE:
        show(rows, status.COLUMNS, output)
        out.print(f"\n{status.memory(config)}", highlight=False)
    else:
        show(status.for_scripts(rows), (), output)
    if not all(row["ready"] for row in rows):
        raise typer.Exit(Exit.CONDITION_FALSE)


@app.command(epilog="Example:\n\n  export KUBECONFIG=$(xnai kubeconfig)")
def kubeconfig() -> None:
    """Print the path of the kubeconfig for kubectl."""
    file = serve.kubeconfig(Config.read())
    if not file.exists():
        fail("there is none yet; run `xnai up`", Exit.UNAVAILABLE)
    print(file)  # noqa: T201


@app.command(epilog="Example:\n\n  xnai render -f manifests/redis")
def render(filename: Files) -> None:
    """Print the pod YAML that the services in the files become. Offline."""
    try:
        pods = preview.rendered(Config.read(), _bodies(filename))
    except (manifests.ManifestError, XnaiError) as error:
        fail(str(error), Exit.USAGE)
    print(yaml.safe_dump_all(pods, sort_keys=False), end="")  # noqa: T201


@app.command(epilog="Example:\n\n  xnai plan -f manifests/redis/service.yaml")
def plan(filename: Files, output: Output = Format.TABLE) -> None:
    """Say what would change, and why, if the files were applied. Nothing is written. Exit code 1: something would."""
    config, bodies = Config.read(), _bodies(filename)
    rows = preview.changes(*_with_api(config, lambda api: preview.planned(config, api, bodies, time.time())))
    if rows or output is not Format.TABLE:
        show(rows, ("action", "pod", "reason", "message"), output)
    else:
        out.print("no changes")
    if rows:
        raise typer.Exit(Exit.CONDITION_FALSE)


@app.command(
    name="size",
    epilog="Examples:\n\n  xnai size model.gguf --ctx 8192\n\n  xnai size https://host/model.gguf --kv-type q8_0"
    "\n\n  xnai size model.gguf --exact",
)
def size_command(
    model: Annotated[str, typer.Argument(help="a GGUF file, an http address (only the header is fetched), or a name")],
    ctx: Annotated[int, typer.Option(help="tokens of context for each slot", min=128)] = 2048,
    parallel: Annotated[int, typer.Option(help="slots", min=1)] = 1,
    kv_type: Annotated[KvChoice, typer.Option(help="type of the KV cache")] = KvChoice.F16,
    flash_attention: Annotated[bool, typer.Option(help="as our images do")] = True,
    device: Annotated[str, typer.Option(help="cpu or vulkan")] = "cpu",
    exact: Annotated[
        bool, typer.Option("--exact", help="ask llama.cpp too: a dry run of the file, no weights")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Say how much memory a model needs, part by part, and what fits here. Exit code 1: it does not fit."""
    config = Config.read()
    if device not in {"cpu", "vulkan"}:
        fail(f"--device {device}: cpu or vulkan", Exit.USAGE)
    load = ModelOptions(ctx, parallel, kv_type.value, flash_attention, device="vulkan" if device == "vulkan" else "cpu")
    try:
        header = size.read(model, config.models)
        told = size.report(config, header, load, size.exact(model, config.models, load) if exact else {})
    except DryRunError as error:
        fail(f"{model}: {error}")
    except GgufError as error:
        fail(f"{model}: {error}", Exit.USAGE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a file, an address, or a file in {config.models}", Exit.USAGE)
    if output is not Format.TABLE:
        show([told], (), output)
    else:
        show(size.rows(told), ("part", "size", "kind", *(["dry_run"] * exact)), output)
        room = f"{told['allocatableBytes'] >> 20} Mi are for services"
        verdict = "fits" if told["fits"] else "does not fit"
        out.print(f"\n{verdict}: {room}; the longest context that fits is {told['longestContext']}")
    if not told["fits"]:
        raise typer.Exit(Exit.CONDITION_FALSE)


@app.command(name="doctor")
def doctor_command(output: Output = Format.TABLE) -> None:
    """Check each precondition of this machine: why it matters and the command that mends it."""
    findings = doctor.examine(Config.read())
    if output is not Format.TABLE:
        show([finding.row() for finding in findings], (), output)
    else:
        marks = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]", "fault": "[red]fault[/red]"}
        for finding in findings:
            out.print(f"{marks[finding.level]}{' ' * (10 - len(finding.level))} {finding.check}: {finding.found}")
            if finding.level != "ok":
                out.print(f"           why: {finding.why}\n           fix: {finding.fix}", markup=False, soft_wrap=True)
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(Exit.CONDITION_FALSE)


@app.command(epilog="Examples:\n\n  xnai logs rag-api\n\n  xnai logs operator --tail 50")
def logs(
    name: Annotated[str, typer.Argument(help="a service, or operator, etcd, kube-apiserver, podman, serve")],
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    tail: Annotated[int, typer.Option(help="lines from the end", min=1)] = 100,
) -> None:
    """Print the last lines of a service's output, or of a process of the control plane."""
    config = Config.read()
    own = config.logs / f"{name}.log"
    if own.exists():
        print("\n".join(own.read_text(errors="replace").splitlines()[-tail:]))  # noqa: T201
        return

    async def read() -> str:
        backend = wiring.backend(config)
        try:
            return await backend.logs(f"{namespace}.{name}", tail)
        finally:
            await backend.close()

    try:
        print(asyncio.run(read()), end="")  # noqa: T201
    except BackendError as error:
        fail(f"{namespace}/{name}: {error.message}", Exit.UNAVAILABLE)


def main() -> None:
    """The entry point."""
    exec_as_user(sys.argv[1:])
    try:
        app(prog_name="xnai")
    except KeyboardInterrupt:
        err.print("interrupted; run the command again to go on")
        sys.exit(130)


if os.environ.get("XNAI_DEBUG") is None:
    app.pretty_exceptions_enable = False
