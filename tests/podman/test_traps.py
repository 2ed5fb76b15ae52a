"""Podman's traps, each with a test that fails without its handling."""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.podman.conftest import USER_NAMESPACES, inside, rendered, started
from xnai_operator.api.conditions import Reason
from xnai_operator.backends.base import ExecResult
from xnai_operator.backends.podman import id_ranges
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.backends.podman.networks import Networks
from xnai_operator.errors import BackendError
from xnai_operator.health.probe import ProbeRequest
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.render.installation import Installation


def podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=True).stdout


async def test_a_start_failure_told_in_a_200_is_an_error_and_leaves_nothing(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [{"name": "http", "containerPort": 80, "hostPort": taken.getsockname()[1]}]
        with pytest.raises(BackendError) as failed:
            await podman_backend.runtime.start(rendered("taken", installation, ports=ports))
    assert (failed.value.reason, "address already in use" in failed.value.message) == (Reason.START_FAILED, True)
    assert "test.taken" not in (await podman_backend.runtime.observe()).pods
    assert list(Path(installation.runtime_dir, "tmpfs").glob("test.taken.*")) == []


async def test_a_program_that_is_not_there_leaves_nothing(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    with pytest.raises(BackendError, match="no-such-program"):
        await podman_backend.runtime.start(rendered("missing", installation, command=["/no-such-program"]))
    assert "test.missing" not in podman("pod", "ls", "--format", "{{.Name}}").split()


async def test_names_that_differ_by_a_hyphen_do_not_clash(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    volume = {"volumes": [{"name": "data", "mountPath": "/data"}]}
    for namespace, name in (("test", "a"), ("test", "a-main"), ("test-a", "main")):
        await started(podman_backend, rendered(name, installation, namespace=namespace, storage=volume))
    observed = await podman_backend.runtime.observe()
    assert {"test.a.data", "test.a-main.data", "test-a.main.data"} <= observed.volumes


async def test_two_services_with_a_config_of_one_name_keep_their_own(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    config = {"config": [{"name": "cm", "mountPath": "/c"}]}
    for name in ("one", "two"):
        contents = {("ConfigMap", "cm"): {"key": name.encode()}}
        await started(podman_backend, rendered(name, installation, contents, storage=config))
    assert [inside(f"test.{name}", "cat", "/c/key").stdout for name in ("one", "two")] == ["one", "two"]


async def test_a_config_cannot_be_turned_against_the_host(
    podman_backend: PodmanBackend, installation: Installation, tmp_path: Path
) -> None:
    # CVE-2025-9566, open in Debian 13's package: kube play wrote through a link that a container had put into its
    # config volume.
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    config = {"config": [{"name": "cm", "mountPath": "/c"}]}
    for text in (b"first", b"overwritten"):
        pod = rendered("attack", installation, {("ConfigMap", "cm"): {"key": text}}, storage=config)
        await started(podman_backend, pod)
        attack = inside(pod.name, "sh", "-c", f"ln -sf {victim} /c/key")
        assert attack.returncode == 1, attack.stdout
    assert (victim.read_text(), inside("test.attack", "cat", "/c/key").stdout) == ("untouched", "overwritten")


async def test_a_secret_is_on_no_disk_and_not_in_inspect(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    secret = {"secrets": [{"name": "s", "mountPath": "/run/secrets/s"}]}
    pod = rendered("secret", installation, {("Secret", "s"): {"password": b"correct horse"}}, storage=secret)
    await started(podman_backend, pod)
    assert inside(pod.name, "cat", "/run/secrets/s/password").stdout == "correct horse"
    assert inside(pod.name, "ls", "-ln", "/run/secrets/s/password").stdout.split()[:4:2] == ["-r--------", "1001"]
    assert "correct horse" not in podman("inspect", f"{pod.name}-main")
    volumes = json.loads(podman("volume", "ls", "--format", "json") or "[]")
    assert [v["Name"] for v in volumes if "secret" in v["Name"]] == []
    assert podman("secret", "ls", "--quiet") == ""


async def test_a_volume_belongs_to_the_service_although_the_image_says_otherwise(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    volume = {"volumes": [{"name": "owned", "mountPath": "/owned-by-5"}]}
    pod = rendered("owner", installation, storage=volume)
    await started(podman_backend, pod)
    assert inside(pod.name, "sh", "-c", "echo x >/owned-by-5/file").returncode == 0
    await started(podman_backend, rendered("owner", installation, storage=volume, env=[{"name": "A", "value": "1"}]))
    assert inside(pod.name, "cat", "/owned-by-5/file").stdout == "x\n"


async def test_podman_does_not_restart_what_ends(podman_backend: PodmanBackend, installation: Installation) -> None:
    await podman_backend.runtime.start(rendered("ends", installation, command=["sh", "-c", "exit 3"]))
    subprocess.run(["podman", "wait", "test.ends-main"], check=True, capture_output=True)
    pod = (await podman_backend.runtime.observe()).pods["test.ends"]
    assert (pod.running, pod.exit_code, pod.finished_at > 0) == (False, 3, True)
    assert json.loads(podman("inspect", "test.ends-main"))[0]["RestartCount"] == 0


async def test_a_pod_of_somebody_else_is_not_touched(
    podman_backend: PodmanBackend, installation: Installation, image: str
) -> None:
    podman("pod", "create", "--name", "test.theirs")
    try:
        with pytest.raises(BackendError, match="not this operator's"):
            await podman_backend.runtime.start(rendered("theirs", installation))
        assert "test.theirs" in podman("pod", "ls", "--format", "{{.Name}}").split()
        assert "test.theirs" not in (await podman_backend.runtime.observe()).pods
    finally:
        podman("pod", "rm", "--force", "test.theirs")


@pytest.mark.parametrize("mode", ["Namespace", "Alone"])
async def test_the_mtu_is_1500(mode: str, podman_backend: PodmanBackend, installation: Installation) -> None:
    pod = rendered("mtu", installation, network={"mode": mode})
    await started(podman_backend, pod)
    script = "for f in /sys/class/net/*; do [ $f = /sys/class/net/lo ] || cat $f/mtu; done"
    assert set(inside(pod.name, "sh", "-c", script).stdout.split()) == {"1500"}


async def test_the_network_of_a_namespace_goes_with_its_last_pod(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    def networks() -> set[str]:
        return set(podman("network", "ls", "--format", "{{.Name}}").split())

    left = Networks(podman_backend.transport, installation.installation)
    others = f"xnai-others-{os.getpid()}"
    # A network that a run of the tests left has another installation's label.
    namespaces = f"kept-{os.getpid()}", f"gone-{os.getpid()}"
    kept, gone = [
        await started(podman_backend, rendered("web", installation, namespace=namespace)) for namespace in namespaces
    ]
    of_kept, of_gone = (f"xnai-{namespace}" for namespace in namespaces)
    podman("network", "create", others)
    try:
        await left.sweep({kept.name, gone.name})
        assert {of_kept, of_gone, others} <= networks()
        await podman_backend.runtime.stop(gone.name, 0)
        # The pod that is still there keeps its network, although nobody asks to keep it.
        assert await left.sweep(set()) == [of_gone]
        assert networks() & {of_kept, of_gone, others} == {of_kept, others}
    finally:
        podman("network", "rm", others)
    await podman_backend.runtime.stop(kept.name, 0)
    assert of_kept in await podman_backend.node_agent.sweep(set())


async def test_the_log_of_a_container_is_bounded(podman_backend: PodmanBackend, installation: Installation) -> None:
    talks = [
        "sh",
        "-c",
        "busybox yes | dd bs=1024 count=40960 iflag=fullblock 2>/dev/null; echo end; mkdir /tmp/ended; sleep 1000",
    ]
    await started(podman_backend, rendered("talks", installation, command=talks))
    deadline = time.monotonic() + 60
    while inside("test.talks", "ls", "/tmp/ended").returncode != 0:
        assert time.monotonic() < deadline
    log = podman("inspect", "--format", "{{.HostConfig.LogConfig.Path}}", "test.talks-main").strip()
    assert 0 < Path(log).stat().st_size <= 10 << 20
    assert (await podman_backend.runtime.logs("test.talks", 2)).splitlines() == ["y", "end"]


async def test_a_command_has_an_exit_code_and_both_outputs(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = await started(podman_backend, rendered("exec", installation))
    result = await podman_backend.runtime.exec(pod, ("sh", "-c", "echo out; echo error >&2; exit 3"), 20)
    assert (result.exit_code, sorted(result.output.splitlines())) == (3, ["error", "out"])
    assert await podman_backend.runtime.exec(pod, ("sleep", "30"), 0.5) == ExecResult(exit_code=None, output="")


async def test_a_process_has_no_capability_and_gains_none(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = rendered("rights", installation)
    found = await started(podman_backend, pod)
    status = Path(f"/proc/{found.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert [fields[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")] == ["0" * 16, "0" * 16, "1", "2"]


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_the_user_reads_its_secrets_and_keeps_its_volume_in_every_user_namespace(
    namespace: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    storage = {
        "volumes": [{"name": "kept", "mountPath": "/data"}],
        "config": [{"name": "c", "mountPath": "/c"}],
        "secrets": [{"name": "s", "mountPath": "/s"}],
    }
    contents = {("Secret", "s"): {"password": b"x"}, ("ConfigMap", "c"): {"key": b"y"}}
    spec: dict[str, Any] = {"security": {"userNamespace": namespace}, "storage": storage}
    for script, said in (
        ("cat /s/password /c/key && echo z >/data/file", "xy"),
        ("cat /s/password /c/key /data/file", "xyz\n"),
    ):
        pod = rendered("user", installation, contents, env=[{"name": "SCRIPT", "value": script}], **spec)
        await started(podman_backend, pod)
        done = inside(pod.name, "sh", "-c", script)
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


async def test_a_kept_id_owns_the_files_of_the_user(
    podman_backend: PodmanBackend, installation: Installation, tmp_path: Path
) -> None:
    storage = {"hostPaths": [{"path": str(tmp_path), "mountPath": "/mine", "readOnly": False}]}
    pod = rendered("kept", installation, security={"userNamespace": "KeepId"}, storage=storage)
    await started(podman_backend, pod)
    assert inside(pod.name, "sh", "-c", "echo x >/mine/file").returncode == 0
    assert (tmp_path / "file").stat().st_uid == os.getuid()


def rival(service: str) -> str:
    """A service that would have the same ids first."""
    first = id_ranges.choose(f"test.{service}", ())
    return next(name for name in (f"r{n}" for n in range(1000)) if id_ranges.choose(f"test.{name}", ()) == first)


def ranges(pod: ObservedPod) -> list[range]:
    """The ids of the machine that are the pod's."""
    lines = Path(f"/proc/{pod.pid}/uid_map").read_text().splitlines()
    return [range(int(first), int(first) + int(many)) for _, first, many in map(str.split, lines)]


async def test_pods_with_ids_of_their_own_share_none(podman_backend: PodmanBackend, installation: Installation) -> None:
    own: dict[str, Any] = {"security": {"userNamespace": "Auto", "runAsUser": 65532}}
    same = rival("one")
    kept: dict[str, Any] = {"security": {"userNamespace": "KeepId"}}
    await started(podman_backend, rendered("all", installation, **kept))  # leaves Podman no id to choose
    await started(podman_backend, rendered("shares", installation))
    await asyncio.gather(*(podman_backend.runtime.start(rendered(name, installation, **own)) for name in ("one", same)))
    observed = (await podman_backend.runtime.observe()).pods
    parts = [part for name in ("one", same) for part in ranges(observed[f"test.{name}"])]
    assert [a for a, b in itertools.combinations(parts, 2) if a.start < b.stop and b.start < a.stop] == []
    users = [Path(f"/proc/{observed[f'test.{name}'].pid}").stat().st_uid for name in ("one", same, "shares")]
    assert [sum(user in part for part in parts) for user in users] == [1, 1, 0]


async def test_the_ids_of_a_volume_are_nobody_elses_while_its_service_does_not_run(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    own: dict[str, Any] = {"security": {"userNamespace": "Auto"}}
    storage = {"volumes": [{"name": "left", "mountPath": "/data"}]}
    same = rival("owns")
    before = ranges(await started(podman_backend, rendered("owns", installation, storage=storage, **own)))
    await podman_backend.runtime.stop("test.owns", 0)
    other = ranges(await started(podman_backend, rendered(same, installation, **own)))
    again = ranges(await started(podman_backend, rendered("owns", installation, storage=storage, **own)))
    assert (before == again, before == other) == (True, False)
    await podman_backend.runtime.stop("test.owns", 0)
    podman("volume", "rm", "test.owns.left")


async def test_a_pod_keeps_the_ids_of_its_volume_when_those_it_would_have_first_are_free_again(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    own: dict[str, Any] = {"security": {"userNamespace": "Auto"}}
    storage = {"volumes": [{"name": "left", "mountPath": "/data"}]}
    same = rival("owns")
    await started(podman_backend, rendered(same, installation, **own))
    before = ranges(await started(podman_backend, rendered("owns", installation, storage=storage, **own)))
    await podman_backend.runtime.stop(f"test.{same}", 0)
    again = ranges(await started(podman_backend, rendered("owns", installation, storage=storage, **own)))
    assert before == again
    await podman_backend.runtime.stop("test.owns", 0)
    podman("volume", "rm", "test.owns.left")


async def test_what_it_uses_is_measured_in_ids_of_its_own(
    podman_backend: PodmanBackend, installation: Installation
) -> None:
    pod = await started(podman_backend, rendered("used", installation, security={"userNamespace": "Auto"}))
    assert inside("test.used", "dd", "if=/dev/zero", "of=/tmp/big", "bs=1M", "count=4").returncode == 0
    usage = await podman_backend.node_agent.usage(pod)
    assert (usage.memory > 0, usage.tmpfs_used) == (True, 4 << 20)


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_a_cpu_set_holds_for_every_thread(
    namespace: str, podman_backend: PodmanBackend, installation: Installation
) -> None:
    own: dict[str, Any] = {"resources": {"cpuSet": "1"}, "security": {"userNamespace": namespace}}
    pod = await started(podman_backend, rendered("bound", installation, **own))
    assert os.sched_getaffinity(pod.pid) == {1}
    assert "Cpus_allowed_list:\t1\n" in inside("test.bound", "cat", "/proc/1/status").stdout


SERVES: dict[str, Any] = {
    "command": ["httpd", "-f", "-p", "8080"],
    "ports": [{"name": "http", "containerPort": 8080, "hostPort": 18080}],
}


@pytest.mark.parametrize("namespace", USER_NAMESPACES)
async def test_only_clients_reach_a_pod_and_users_its_published_port(
    namespace: str, podman_backend: PodmanBackend, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")  # a normal user's, without nft's place
    own: dict[str, Any] = {"security": {"userNamespace": namespace}}
    server = await started(podman_backend, rendered("server", installation, **SERVES, **own))
    await started(podman_backend, rendered("stranger", installation))
    client = await started(podman_backend, rendered("client", installation, **own))

    def reaches(service: str) -> bool:
        asked = "echo 'GET / HTTP/1.0' | timeout 10 nc -w 3 server 8080 | grep -q HTTP"
        return inside(f"test.{service}", "sh", "-c", asked).returncode == 0

    deadline = time.monotonic() + 30
    while not reaches("stranger"):  # as Podman leaves it, once the server listens
        assert time.monotonic() < deadline
    await podman_backend.node_agent.allow_ingress_from(server, [client])
    assert (reaches("client"), reaches("stranger")) == (True, False)
    with socket.create_connection(("127.0.0.1", 18080), 2) as published:
        published.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert published.recv(8) == b"HTTP/1.1"
    probed = await podman_backend.node_agent.probe(server, ProbeRequest(1.0, tcp=8080))
    assert probed.success
    assert inside("test.server", "nslookup", "client").returncode == 0  # its own way out is open
    await podman_backend.node_agent.allow_ingress_from(server, [])
    assert not reaches("client")


async def test_a_slow_stop_keeps_nobody_from_looking(podman_backend: PodmanBackend, installation: Installation) -> None:
    deaf = ["sh", "-c", "trap 'echo > /tmp/asked' TERM; while :; do sleep 0.1; done"]
    await started(podman_backend, rendered("deaf", installation, command=deaf))
    stopping = asyncio.create_task(podman_backend.runtime.stop("test.deaf", 15))
    while (await asyncio.to_thread(inside, "test.deaf", "ls", "/tmp/asked")).returncode != 0:
        assert not stopping.done()
    await asyncio.wait_for(podman_backend.runtime.observe(), 7)  # and not the rest of fifteen seconds
    subprocess.run(["podman", "kill", "test.deaf-main"], check=True, capture_output=True)
    await stopping
    assert "test.deaf" not in (await podman_backend.runtime.observe()).pods
