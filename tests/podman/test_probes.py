"""Probes on real Podman: the way they go, their limits, and the end of commands."""

import asyncio
import subprocess

import pytest

from tests.podman.conftest import USER_NAMESPACES, rendered, started
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.health.probe import ProbeRequest
from xnai_operator.render.installation import Installation


def podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=True).stdout


PROBES = [
    (ProbeRequest(2, http=(8080, "/")), True, "HTTP 200 from :8080/"),
    (ProbeRequest(2, http=(8080, "/none")), False, "HTTP 404 from :8080/none"),
    (ProbeRequest(2, tcp=8080), True, "port 8080 accepts connections"),
    (ProbeRequest(2, tcp=8081), False, "nothing listens on port 8081"),
    (ProbeRequest(2, command=("true",)), True, "true ended with 0"),
    (ProbeRequest(2, command=("sh", "-c", "exit 4")), False, "sh ended with 4"),
    (ProbeRequest(0.5, command=("sleep", "30")), False, "sleep did not end in 0.5 s"),
]


async def test_probes_of_ports_that_are_not_published(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    web = ["sh", "-c", "echo hello >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    pod = await started(podman_backend, rendered("web", installation, command=web))
    while not (await podman_backend.node_agent.probe(pod, ProbeRequest(2, tcp=8080))).success:
        pass
    found = [await podman_backend.node_agent.probe(pod, request) for request, _, _ in PROBES]
    assert [(result.success, result.message) for result in found] == [(ok, text) for _, ok, text in PROBES]


@pytest.mark.parametrize("mode", ["Namespace", "Alone"])
@pytest.mark.parametrize(
    ("bound", "reached", "expected"),
    [
        pytest.param("0.0.0.0:8080", True, (True, "HTTP 200 from :8080/"), id="every address"),
        pytest.param("[::]:8080", True, (True, "HTTP 200 from :8080/"), id="every address of IPv6"),
        pytest.param(
            "127.0.0.1:8080",
            True,
            (False, "port 8080 listens on 127.0.0.1 only; bind it to 0.0.0.0"),
            id="loopback of a port that others reach",
        ),
        pytest.param(
            "[::1]:8080",
            True,
            (False, "port 8080 listens on ::1 only; bind it to 0.0.0.0"),
            id="IPv6 loopback of a port that others reach",
        ),
        pytest.param("127.0.0.1:8080", False, (True, "HTTP 200 from :8080/"), id="loopback"),
        pytest.param("[::1]:8080", False, (True, "HTTP 200 from :8080/"), id="IPv6 loopback"),
    ],
)
async def test_a_probe_goes_the_way_of_the_users(
    bound: str,
    reached: bool,
    expected: tuple[bool, str],
    mode: str,
    podman_backend: PodmanBackend,
    installation: Installation,
) -> None:
    web = ["sh", "-c", f"echo hello >/tmp/index.html; exec httpd -f -p {bound} -h /tmp"]
    pod = await started(podman_backend, rendered("bound", installation, command=web, network={"mode": mode}))
    request = ProbeRequest(2, http=(8080, "/"), reached=reached)
    async with asyncio.timeout(20):
        while (result := await podman_backend.node_agent.probe(pod, request)).message.startswith("nothing listens"):
            pass
    assert (result.success, result.message) == expected


async def test_a_server_that_goes_silent_costs_its_probe_only(
    podman_backend: PodmanBackend, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol.PROBE, "seconds", 0.5)
    silent = rendered("silent", installation, command=["nc", "-ll", "-p", "8080", "-e", "sleep", "1000"])
    pod = await started(podman_backend, silent)
    while not (await podman_backend.node_agent.probe(pod, ProbeRequest(2, tcp=8080))).success:
        pass
    helper = podman_backend.helper.pid
    result = await podman_backend.node_agent.probe(pod, ProbeRequest(2, http=(8080, "/")))
    assert (result.success, result.message) == (False, "no answer from :8080 in 2 s")
    assert podman_backend.helper.pid == helper is not None


@pytest.mark.parametrize(
    ("hangs", "zombies"),
    [
        pytest.param(("sleep", "1002"), False, id="a program"),
        pytest.param(("sh", "-c", "sleep 1002; echo no"), False, id="a shell that waits"),
        # The container's first process inherits them, and collects none here.
        pytest.param(("sh", "-c", "trap '' TERM; sleep 1002 & (sleep 1003 &) ; sleep 1004"), True, id="in background"),
        pytest.param(("sh", "-c", "while :; do sleep 1002; done"), True, id="a loop"),
    ],
)
@pytest.mark.parametrize("user_namespace", USER_NAMESPACES)
async def test_nothing_is_left_of_a_command_that_does_not_end_in_its_time(
    user_namespace: str,
    hangs: tuple[str, ...],
    zombies: bool,
    podman_backend: PodmanBackend,
    installation: Installation,
) -> None:
    security = {"userNamespace": user_namespace}
    pod = await started(podman_backend, rendered("hangs", installation, command=["sleep", "1001"], security=security))
    probe = ProbeRequest(0.5, command=hangs)
    results = await asyncio.gather(*(podman_backend.node_agent.probe(pod, probe) for _ in range(3)))
    assert {result.message for result in results} == {f"{hangs[0]} did not end in 0.5 s"}
    left = [line.split(None, 1) for line in podman("top", "test.hangs-main", "state,args").splitlines()[1:]]
    assert [args.strip() for state, args in left if not (zombies and state == "Z")] == ["sleep 1001"]


async def test_the_output_of_a_command_is_bounded(podman_backend: PodmanBackend, installation: Installation) -> None:
    pod = await started(podman_backend, rendered("talks", installation))
    talks = ("dd", "if=/dev/zero", "bs=1024", "count=1024")
    result = await podman_backend.runtime.exec(pod, talks, 20)
    assert (result.exit_code, len(result.output) <= 1 << 16) == (0, True)
