"""What a started pod is given: every string as it was declared."""

import json
import subprocess
from typing import Any

import pytest

from tests.podman.conftest import inside, rendered, started
from xnai_operator.backends.podman.backend import PodmanBackend
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
