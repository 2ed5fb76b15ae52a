#!/usr/bin/env python3
"""Figures of the running stack (`make up` before): first token, a start against raw kube play, the cost of looking at
memory and tmpfs, memory and CPU at rest.

    make bench

Every figure stands beside its goal. Medians and 95th percentiles of interleaved runs; the machine may be busy, ratios
matter more than times.
"""

import asyncio
import copy
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import yaml

from xnai_operator import wiring
from xnai_operator.api import resources
from xnai_operator.backends.podman.transport import Transport
from xnai_operator.cli import api_server, serve
from xnai_operator.config import Config
from xnai_operator.host.memory_reader import MemoryReader, cpu_seconds
from xnai_operator.kube.client import KubeClient
from xnai_operator.reconcile.engine import MEMORY_SECONDS, MOUNT_SECONDS
from xnai_operator.render.intent import PodIntent
from xnai_operator.tmpfs.mounts import merged

ROUNDS = 15
LOOKS = 200
IDLE_SECONDS = int(os.environ.get("IDLE_SECONDS", "60"))
SPEC = {
    "image": "localhost/xnai-mkdocs:0.1.0",
    "command": ["sleep", "1000"],
    "storage": {"tmpfs": [{"mountPath": "/scratch", "size": "1Mi"}]},
    "terminationGracePeriodSeconds": 0,
}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def row(what: str, figure: str, goal: str = "") -> None:
    print(f"{what:<52} {figure:>22}  {goal}", flush=True)


def started_at(container: str) -> float | None:
    done = subprocess.run(
        ["podman", "inspect", "--format", "{{json .State}}", container], capture_output=True, text=True, check=False
    )
    if done.returncode or (state := json.loads(done.stdout))["Status"] != "running":
        return None
    return datetime.fromisoformat(state["StartedAt"]).timestamp()


async def until_started(container: str) -> float:
    deadline = time.monotonic() + 60
    while (moment := await asyncio.to_thread(started_at, container)) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"{container} did not start")
        await asyncio.sleep(0.05)
    return moment


async def one_apply(api: KubeClient, number: int) -> float:
    """Seconds from the request to the start of the container."""
    name = f"bench-{number}"
    body = {"apiVersion": "xnai.dev/v1alpha1", "kind": "XnaiService", "metadata": {"name": name}, "spec": SPEC}
    began = time.time()
    await api.apply(copy.deepcopy(body))
    moment = await until_started(f"default.{name}-main")
    await api.request("DELETE", f"/apis/xnai.dev/v1alpha1/namespaces/default/xnaiservices/{name}")
    while subprocess.run(["podman", "pod", "exists", f"default.{name}"], check=False).returncode == 0:
        await asyncio.sleep(0.05)
    return moment - began


async def one_play(config: Config, podman: Transport, number: int) -> float:
    """The same for a bare kube play of the same document, over the API."""
    service = resources.service(
        {"metadata": {"name": f"raw-{number}", "namespace": "default", "uid": "raw"}, "spec": SPEC}
    )
    pod = wiring.renderer(config)(PodIntent(service=service, tmpfs=merged(service, ()), contents={}))
    document = copy.deepcopy(pod.document)
    for volume in document["spec"]["volumes"]:
        path = Path(config.runtime / "bench" / volume["name"])
        path.mkdir(parents=True, exist_ok=True)
        volume["hostPath"]["path"] = str(path)
    document["metadata"]["labels"] = {"app": "raw"}
    text = yaml.safe_dump(document)
    began = time.time()
    await podman.call(
        "POST",
        "/kube/play",
        params={"network": f"xnai-default:alias=raw-{number}"},
        data=text,
        headers={"Content-Type": "application/yaml"},
    )
    moment = await until_started(f"{pod.name}-main")
    subprocess.run(["podman", "pod", "rm", "--force", "--time", "0", pod.name], check=True, capture_output=True)
    return moment - began


async def starts(config: Config) -> None:
    api, podman = await KubeClient.connect(api_server.kubeconfig(config)), Transport(str(config.podman_socket))
    applied, played = [], []
    for number in range(ROUNDS):
        applied.append(await one_apply(api, number))
        played.append(await one_play(config, podman, number))
    await api.close()
    podman.close()
    for what, share in (("median", 0.5), ("p95", 0.95)):
        a, p = percentile(applied, share), percentile(played, share)
        row(f"apply to container started, {what}", f"{a * 1000:.0f} ms")
        row(f"  raw kube play of the same pod, {what}", f"{p * 1000:.0f} ms")
        row("  ratio", f"{a / p:.2f}", "<= 1.3")


def processes() -> dict[str, list[int]]:
    """Name -> process ids of what is ours."""
    patterns = {
        "etcd": "/etcd\0--name=xnai",
        "kube-apiserver": "/kube-apiserver\0",
        "kube-controller-manager": "/kube-controller-manager\0",
        "operator": "-m\0xnai_operator\0",
        "helper": "xnai_operator.backends.podman.helper\0",
        "xnai serve": "-m\0xnai_operator.cli.serve\0",
        "podman service": "podman\0system\0service",
    }
    found: dict[str, list[int]] = {name: [] for name in patterns}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_text()
            owned = entry.stat().st_uid == os.getuid()
        except OSError:
            continue
        for name, pattern in patterns.items():
            if owned and pattern in command:
                found[name].append(int(entry.name))
    return found


def memory(pid: int) -> dict[str, int]:
    """Rss, Anonymous and Pss in MiB (proc_pid_smaps(5))."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:  # in a user namespace of its own: status has what matters
        lines = [
            line.replace("VmRSS", "Rss").replace("RssAnon", "Anonymous")
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        ]
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return {name: values.get(name, 0) // 1024 for name in ("Rss", "Anonymous", "Pss")}


async def cost(work: Callable[[], Awaitable[object]], helper: Callable[[], int | None]) -> float:
    """CPU milliseconds of one call, in this process and in the helper with the process id that `helper` gives."""

    def used() -> float:
        return time.process_time() + cpu_seconds(pid) if (pid := helper()) else time.process_time()

    await work()
    before = used()
    for _ in range(LOOKS):
        await work()
    return (used() - before) / LOOKS * 1000


async def looks(config: Config) -> None:
    """What the operator's looks at the pods that run now cost, each as often as the operator takes it."""
    backend, reader = wiring.backend(config), MemoryReader()
    pods = [pod for pod in (await backend.runtime.observe()).pods.values() if pod.running]

    async def memory() -> None:
        reader.read()
        reader.idle(pod.pid for pod in pods)
        for pod in pods:
            reader.stalls(pod.pid)

    async def mounts() -> None:
        for pod in pods:
            await backend.node_agent.mounts(pod)

    total = 0.0
    for what, look, seconds in (("memory", memory, MEMORY_SECONDS), ("tmpfs", mounts, MOUNT_SECONDS)):
        milliseconds = await cost(look, lambda: backend.helper.pid)
        total += (share := milliseconds / seconds / 10)
        row(f"looking at {what} of {len(pods)} pods", f"{milliseconds:.2f} ms, {share:.2f} %")
    row("CPU of all looks", f"{total:.2f} %", "<= 0.5 % of a core")
    await backend.runtime.close()


PLANE = {"etcd", "kube-apiserver", "kube-controller-manager"}
GOALS = {"operator": "RSS <= 110 MiB", "xnai serve": "<= 30, <= 15 anon"}


def rest() -> None:
    ours = processes()
    before = {pid: cpu_seconds(pid) for pids in ours.values() for pid in pids}
    time.sleep(IDLE_SECONDS)
    total, plane, everything = 0.0, [0, 0], [0, 0]
    for name, pids in ours.items():
        used = [memory(pid) for pid in pids]
        share = sum(cpu_seconds(pid) - before[pid] for pid in pids) / IDLE_SECONDS * 100
        total += share
        sums = [sum(u["Rss"] for u in used), sum(u["Anonymous"] for u in used)]
        everything = [a + b for a, b in zip(everything, sums, strict=True)]
        plane = [a + b for a, b in zip(plane, sums, strict=True)] if name in PLANE else plane
        row(f"at rest: {name}", f"{sums[0]} MiB, {sums[1]} anon, {share:.1f} %", GOALS.get(name, ""))
    row("at rest: control plane", f"{plane[0]} MiB, {plane[1]} anon", "<= 350, <= 180 anon")
    row("at rest: all of ours", f"{everything[0]} MiB, {everything[1]} anon", "<= 500, <= 280 anon")
    row(f"CPU of all of it over {IDLE_SECONDS} s", f"{total:.1f} %", "<= 3 % of a core")


def first_tokens() -> None:
    times, tokens = [], []
    for number in range(20):
        question = f"Question {number} of {time.time():.0f}: what is known about turbine number {number * 37}?"
        data = json.dumps({"question": question, "max_tokens": 16}).encode()
        request = urllib.request.Request("http://127.0.0.1:8000/stream", data, {"Content-Type": "application/json"})
        began, first, count = time.perf_counter(), 0.0, 0
        with urllib.request.urlopen(request) as answer:
            for line in answer:
                if line.startswith(b"event: token"):
                    first, count = first or time.perf_counter() - began, count + 1
        times.append(first)
        if count > 1:
            tokens.append((count - 1) / (time.perf_counter() - began - first))
    row("first token through the RAG API, median", f"{statistics.median(times) * 1000:.0f} ms")
    row("first token through the RAG API, p95", f"{percentile(times, 0.95) * 1000:.0f} ms", "<= 300 ms")
    if tokens:
        row("tokens per second, median", f"{statistics.median(tokens):.0f}")


def main() -> None:
    config = Config.read()
    if serve.server_pid(config) is None:
        sys.exit("nothing runs; `make up` first")
    first_tokens()
    asyncio.run(starts(config))
    asyncio.run(looks(config))
    rest()


if __name__ == "__main__":
    main()
