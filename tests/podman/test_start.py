"""The start of a pod: every string as declared, init containers, and the filter before the first packet."""

import asyncio
import json
import subprocess
from typing import Any

import pytest

from tests.podman.conftest import inside, rendered, started
from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.errors import BackendError
from xnai_operator.render.installation import Installation

STRINGS = ["7204401e3", "1e-4", "0o17", "1e5_0", "08", "00129", "09123456789", "1_000", "0x1F", "1:30", "yes", "~", "null",
           "2026-01-01", "", " a ", "a: b # c", "line\nline\ttab", "\x7f\x85\u2028\ufeff", "äß\N{GRINNING FACE}", "\\u0041"]  # fmt: skip


async def test_every_string_arrives_as_declared(podman_backend: PodmanBackend, installation: Installation) -> None:
    env = [{"name": f"V{n}", "value": text} for n, text in enumerate(STRINGS)]
    spec: dict[str, Any] = {"command": ["sh", "-c", "exec sleep 1000", *STRINGS], "args": STRINGS, "env": env}
    pod = await started(podman_backend, rendered("strings", installation, **spec))
    config = json.loads(subprocess.check_output(["podman", "inspect", "test.strings-main"]))[0]["Config"]
    variables = dict(entry.split("=", 1) for entry in config["Env"])
    assert [variables[e["name"]] for e in env] == STRINGS
    assert [*config["Entrypoint"], *config["Cmd"]] == ["sh", "-c", "exec sleep 1000", *STRINGS, *STRINGS]
    assert inside(pod.name, "sh", "-c", 'printf %s "$V0"').stdout == STRINGS[0]


@pytest.mark.parametrize("name", ["1e3", "08", "1-2", "null"])
async def test_a_name_that_looks_like_another_type_is_kept(
    name: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = await started(podman_backend, rendered(name, installation))
    assert (pod.name, pod.service) == (f"test.{name}", name)


async def test_long_names_make_a_host_name_that_linux_takes(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    name, namespace = "s" * 63, "n" * 57
    pod = await started(podman_backend, rendered(name, installation, namespace=namespace))
    assert inside(pod.name, "cat", "/proc/sys/kernel/hostname").stdout == f"{name}\n"
    assert inside(pod.name, "nslookup", f"{name}.{namespace}").returncode == 0


def init(script: str) -> dict[str, Any]:
    return {"initContainers": [{"name": "migrate", "command": ["sh", "-c", script]}]}


async def test_an_init_container_that_waits_for_ever_keeps_nobody_from_looking(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    runtime, pod = podman_backend.runtime, rendered("waits", installation, **init("echo begun; sleep 1000"))
    starting = asyncio.create_task(runtime.start(pod))
    async with asyncio.timeout(60):
        while (seen := (await runtime.observe()).pods.get(pod.name)) is None or seen.init_container != "migrate":
            assert not starting.done()
        while await runtime.logs(pod.name, 10, "migrate") != "begun\n":
            pass
        assert (seen.running, seen.network_pid > 0) == (False, True)
        await started(podman_backend, rendered("beside", installation))
        starting.cancel()
        await runtime.stop(pod.name, 10)
        assert pod.name not in (await runtime.observe()).pods


async def test_what_an_init_container_said_is_kept_while_the_pod_runs(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = await started(podman_backend, rendered("said", installation, **init("echo done")))
    assert (pod.init_container, await podman_backend.runtime.logs(pod.name, 10, "migrate")) == ("", "done\n")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param("echo no table; exit 3", "init container migrate exited with 3: no table", id="with output"),
        pytest.param("exit 4", "init container migrate exited with 4", id="without output"),
    ],
)
async def test_an_init_container_that_fails_is_named_and_leaves_nothing(
    script: str, message: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    with pytest.raises(BackendError) as failed:
        await podman_backend.runtime.start(rendered("fails", installation, **init(script)))
    assert (failed.value.reason, failed.value.message) == (Reason.START_FAILED, message)
    assert "test.fails" not in (await podman_backend.runtime.observe()).pods


async def test_an_init_container_whose_program_is_missing_is_named(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    containers = [{"name": "migrate", "command": ["/no-such-program"]}]
    with pytest.raises(BackendError, match=r"init container migrate: .*no-such-program"):
        await podman_backend.runtime.start(rendered("missing", installation, initContainers=containers))


async def test_a_pod_is_filtered_and_let_through_before_its_first_container(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    runtime, agent = podman_backend.runtime, podman_backend.node_agent
    serves: dict[str, Any] = {"command": ["httpd", "-f", "-p", "8080"]}
    await started(podman_backend, rendered("server", installation, **serves))
    ask = "echo 'GET / HTTP/1.0' | nc -w 3 server 8080 | grep -q HTTP"

    async def connected() -> None:
        pods = (await runtime.observe()).pods
        assert not pods["test.client"].running
        await agent.allow_ingress_from(pods["test.client"], [])
        await agent.allow_ingress_from(pods["test.server"], [pods["test.client"]])

    await runtime.start(rendered("client", installation, **init(ask), **serves), connected)
    await started(podman_backend, rendered("stranger", installation))
    for target in ("client", "server"):
        asked = inside("test.stranger", "sh", "-c", f"echo 'GET / HTTP/1.0' | nc -w 1 {target} 8080 | grep -q HTTP")
        assert asked.returncode != 0
