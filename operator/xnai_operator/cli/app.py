"""The commands: their options and their help. A command's work is the `run` of its module, imported when it is called:
`xnai --help` and the completion of a shell must not wait for what only some commands need."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from xnai_operator.cli.output import Exit, Format, err, fail

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
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


@app.command(
    name="up", epilog="Examples:\n\n  xnai up\n\n  xnai up -f my-stack/ --timeout 120\n\n  xnai up --context kind-dev"
)
def up_command(
    filename: Files = [],  # noqa: B006 - typer's way to say "none given"
    context: Annotated[str | None, typer.Option(help="use the API server of this context of your kubeconfig")] = None,
    timeout: Annotated[float, typer.Option(help="seconds to wait until all services are Ready")] = 600,
    reset: Annotated[
        bool, typer.Option("--reset", help="take the shipped state: undo your changes, make again what you deleted")
    ] = False,
) -> None:
    """Start everything in the background, apply the manifests, wait until all services are Ready.

    What you changed with kubectl stays, and what you deleted stays deleted, unless you name its file or say --reset."""
    from xnai_operator.cli import up

    up.run(filename, context, timeout, reset=reset)


@app.command(name="down")
def down_command() -> None:
    """Stop the pods and everything of ours. Persistent data stay; `xnai up` goes on from there."""
    from xnai_operator.cli import down

    down.run()


@app.command(
    name="purge", epilog="Examples:\n\n  xnai purge\n\n  xnai purge --yes --keep-images\n\n  xnai purge --caches"
)
def purge_command(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    keep_images: Annotated[bool, typer.Option("--keep-images", help="images take long to build")] = False,
    caches: Annotated[bool, typer.Option("--caches", help="also what was downloaded and built for all clones")] = False,
) -> None:
    """Delete everything of this installation: pods, volumes, networks, images, settings, data. Says what, and asks."""
    from xnai_operator.cli import purge

    purge.run(yes=yes, keep_images=keep_images, caches=caches)


@app.command(name="serve")
def serve_command() -> None:
    """Run the control plane, the Podman service and the operator in the foreground, until Ctrl-C."""
    from xnai_operator.cli import serve

    os.execv(serve.COMMAND[0], serve.COMMAND)  # noqa: S606 - this process imported what the server must not hold


@app.command(
    name="status", epilog="Examples:\n\n  xnai status\n\n  xnai status -o json | jq '.[] | select(.ready | not)'"
)
def status_command(
    output: Output = Format.TABLE,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="only the services of this namespace")] = "",
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="the services of all namespaces, with their namespace")
    ] = False,
) -> None:
    """Every service: ready or why not, memory and tmpfs asked for and used, where it answers."""
    from xnai_operator.cli import status

    if namespace and all_namespaces:
        fail("-n and -A exclude each other", Exit.USAGE)
    status.run(output, namespace, all_namespaces=all_namespaces)


@app.command(name="kubeconfig", epilog="Example:\n\n  export KUBECONFIG=$(xnai kubeconfig)")
def kubeconfig_command() -> None:
    """Print the path of the kubeconfig for kubectl."""
    from xnai_operator.cli import kubeconfig

    kubeconfig.run()


@app.command(name="render", epilog="Example:\n\n  xnai render -f manifests/redis")
def render_command(filename: Files) -> None:
    """Print the pod YAML that the services in the files become. Offline."""
    from xnai_operator.cli import render

    render.run(filename)


@app.command(name="plan", epilog="Example:\n\n  xnai plan -f manifests/redis/service.yaml")
def plan_command(filename: Files, output: Output = Format.TABLE) -> None:
    """Say what would change, and why, if the files were applied. Nothing is written. Exit code 1: something would."""
    from xnai_operator.cli import plan

    plan.run(filename, output)


# Eight parameters: typer makes an option of each. Below this function they are two values and one object.
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
    from xnai_operator.cli import size
    from xnai_operator.memory.model_size import ModelOptions

    if device not in {"cpu", "vulkan"}:
        fail(f"--device {device}: cpu or vulkan", Exit.USAGE)
    load = ModelOptions(ctx, parallel, kv_type.value, flash_attention, device="vulkan" if device == "vulkan" else "cpu")
    size.run(model, load, exact, output)


@app.command(name="doctor")
def doctor_command(output: Output = Format.TABLE) -> None:
    """Check each precondition of this machine: why it matters and the command that mends it."""
    from xnai_operator.cli import doctor

    doctor.run(output)


@app.command(
    name="logs",
    epilog="Examples:\n\n  xnai logs rag-api\n\n  xnai logs operator --tail 50\n\n  xnai logs rag-api --init migrate",
)
def logs_command(
    name: Annotated[str, typer.Argument(help="a service, or operator, etcd, kube-apiserver, podman, serve")],
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    tail: Annotated[int, typer.Option(help="lines from the end", min=1)] = 100,
    init: Annotated[str | None, typer.Option(help="an init container of the service, while its pod exists")] = None,
) -> None:
    """Print the last lines of the output of a service, of its init container, or of a process of the control plane."""
    from xnai_operator.cli import logs

    logs.run(name, namespace, tail, init)


def main() -> None:
    """The entry point."""
    try:
        app(prog_name="xnai")
    except KeyboardInterrupt:
        err.print("interrupted; run the command again to go on")
        sys.exit(130)
    except Exception as error:
        from xnai_operator.errors import StateError

        if not isinstance(error, StateError):
            raise
        sys.exit(f"error: {error}")


if os.environ.get("XNAI_DEBUG") is None:
    app.pretty_exceptions_enable = False
