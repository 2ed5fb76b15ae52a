"""`xnai up` and what stands after it."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack.conftest import NAMESPACE, Stack, podman
from tests.waiting import wait_until
from xnai_operator.cli import serve


def test_all_services_run(stack: Stack) -> None:
    assert sorted(stack.containers()) == ["crawler", "curation-worker", "mkdocs", "rag-api", "redis", "ui"]


def test_a_second_up_restarts_nothing(stack: Stack) -> None:
    before = stack.containers()
    assert "6/6 Ready" in stack.up().stdout
    assert stack.containers() == before


def test_kubectl_sees_every_service_ready(stack: Stack) -> None:
    done = stack.kubectl("wait", "--for=condition=Ready", "xs", "--all", "--timeout=30s")
    assert done.returncode == 0, done.stderr


def test_every_tmpfs_is_enforced(stack: Stack) -> None:
    path = '{.items[*].status.conditions[?(@.type=="TmpfsEnforced")].status}'
    assert stack.kubectl("get", "xs", "-o", f"jsonpath={path}").stdout.split() == ["True"] * 6


def test_status_for_scripts(stack: Stack) -> None:
    rows = {row["service"]: row for row in json.loads(stack.xnai("status", "-o", "json").stdout)}
    assert (rows["redis"]["ready"], rows["redis"]["url"], rows["ui"]["url"]) == (True, "", "http://127.0.0.1:18001/")
    assert rows["rag-api"]["memoryUsedBytes"] > 100 << 20


def test_plan_of_what_stands_is_no_change(stack: Stack) -> None:
    assert stack.xnai("plan", "-f", str(stack.manifests)).stdout.strip() == "no changes"


def test_plan_tells_a_change_and_makes_none(stack: Stack, tmp_path: Path) -> None:
    before = stack.containers()
    rows = plan_of(stack, tmp_path, env=[{"name": "X", "value": "1"}])
    assert [(row["action"], row["pod"], row["reason"]) for row in rows] == [
        ("start", f"{NAMESPACE}.redis", "SpecChanged")
    ]
    assert stack.containers() == before


def plan_of(stack: Stack, folder: Path, **spec: Any) -> list[dict[str, str]]:
    """What `xnai plan` says of redis with these fields, merged into its own."""
    body = yaml.safe_load((stack.manifests / "redis-service.yaml").read_text())
    for key, value in spec.items():
        body["spec"][key] = body["spec"].get(key, {}) | value if isinstance(value, dict) else value
    (folder / "redis.yaml").write_text(yaml.safe_dump(body))
    rows: list[dict[str, str]] = json.loads(stack.xnai("plan", "-f", str(folder), "-o", "json", code=1).stdout)
    return rows


def test_plan_explains_why_a_change_would_not_be_made(stack: Stack, tmp_path: Path) -> None:
    (row,) = plan_of(stack, tmp_path, resources={"requests": {"memory": "99Ti"}, "limits": {}})
    assert (row["action"], row["pod"], row["reason"]) == ("none", f"{NAMESPACE}.redis", "InsufficientMemory")
    assert re.search(r"short; .*\n\d+ MiB are for services", row["message"])


def test_plan_tells_of_a_size_that_changes_while_the_pod_runs(stack: Stack, tmp_path: Path) -> None:
    (row,) = plan_of(stack, tmp_path, storage={"tmpfs": [{"mountPath": "/tmp", "size": "9Mi"}]})
    assert (row["action"], row["reason"], row["message"]) == ("resize", "MountResized", f"/tmp {8 << 20} -> {9 << 20}")


def test_logs_of_a_service(stack: Stack) -> None:
    assert "model is loaded" in stack.xnai("logs", "-n", NAMESPACE, "rag-api").stdout


@pytest.mark.parametrize(
    "name", ["redis", f"redis.{NAMESPACE}", f"redis.{NAMESPACE}.svc", f"redis.{NAMESPACE}.svc.cluster.local"]
)
def test_services_find_each_other_by_the_names_of_kubernetes(name: str, stack: Stack) -> None:
    connect = f"import socket; socket.create_connection(('{name}', 6379), 5)"
    done = stack.run_in("rag-api", "python3", "-c", connect)
    assert done.returncode == 0, done.stderr


def test_the_mtu_in_a_pod_is_1500(stack: Stack) -> None:
    assert stack.run_in("rag-api", "cat", "/sys/class/net/eth0/mtu").stdout.strip() == "1500"


def test_redis_refuses_who_has_no_password(stack: Stack) -> None:
    assert "NOAUTH" in stack.run_in("redis", "redis-cli", "get", "x").stdout


def test_a_password_is_in_no_environment_argument_or_log(stack: Stack) -> None:
    password = stack.run_in("redis", "cat", "/run/secrets/redis/rag-api-password").stdout
    assert len(password) >= 32
    shown = podman("inspect", f"{NAMESPACE}.redis-main", f"{NAMESPACE}.rag-api-main").stdout
    shown += subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
    shown += "".join(file.read_text(errors="replace") for file in stack.config.logs.iterdir())
    assert password not in shown


def test_processes_are_unprivileged(stack: Stack) -> None:
    status = stack.run_in("rag-api", "cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] == "1001"
    assert (fields["CapEff"], fields["NoNewPrivs"], fields["Seccomp"]) == ("0000000000000000", "1", "2")


def test_the_root_file_system_is_read_only(stack: Stack) -> None:
    done = stack.run_in("ui", "touch", "/app/x")
    assert (done.returncode, "Read-only file system" in done.stderr) == (1, True)


def test_a_wrong_resource_is_refused_and_disturbs_nothing(stack: Stack) -> None:
    before = stack.containers()
    body = {"apiVersion": "xnai.dev/v1alpha1", "kind": "XnaiService", "metadata": {"name": "wrong"}}
    refused = stack.kubectl("apply", "-f", "-", stdin=json.dumps({**body, "spec": {"image": "a", "prots": []}}))
    assert (refused.returncode, "spec.prots" in refused.stderr) == (1, True)
    taken = {"image": "localhost/xnai-ui:0.1.0", "ports": [{"name": "http", "containerPort": 1, "hostPort": 18001}]}
    assert stack.kubectl("apply", "-f", "-", stdin=json.dumps({**body, "spec": taken})).returncode == 0
    reason = 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}=HostPortConflict'
    assert stack.kubectl("wait", f"--for={reason}", "xs/wrong", "--timeout=20s").returncode == 0
    stack.kubectl("delete", "xs", "wrong")
    assert stack.containers() == before


def test_a_killed_server_goes_on_where_it_was(stack: Stack) -> None:
    before = stack.containers()
    pid = serve.server_pid(stack.config)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until("the server is gone", 20, lambda: serve.server_pid(stack.config) is None)
    assert "6/6 Ready" in stack.up().stdout
    assert stack.containers() == before


def redis(stack: Stack, *command: str) -> str:
    script = 'exec redis-cli --user admin --pass "$(cat /run/secrets/redis/admin-password)" --no-auth-warning "$@"'
    return stack.run_in("redis", "sh", "-c", script, "redis-cli", *command).stdout.strip()


def test_a_killed_container_is_started_again_with_its_data(stack: Stack) -> None:
    assert redis(stack, "set", "kept", "yes") == "OK"
    before = stack.containers()
    podman("kill", "--signal", "KILL", f"{NAMESPACE}.redis-main")
    wait_until("redis runs again", 60, lambda: stack.containers().get("redis") not in {None, before["redis"]})
    wait_until("redis has its data", 60, lambda: redis(stack, "get", "kept") == "yes")
    others = {name: number for name, number in stack.containers().items() if name != "redis"}
    assert others == {name: number for name, number in before.items() if name != "redis"}


def test_down_and_up_keep_the_data(stack: Stack) -> None:
    assert redis(stack, "set", "survives", "down") == "OK"
    stack.xnai("down")
    assert stack.containers() == {}
    stack.up()
    assert redis(stack, "get", "survives") == "down"


@pytest.mark.parametrize("options", [["--ctx", "2048"], ["--ctx", "8192", "--kv-type", "q8_0"]])
def test_the_sizes_are_what_llama_cpp_reserves(options: list[str], stack: Stack) -> None:
    told = json.loads(stack.xnai("size", "gemma-3-270m-q4_k_m.gguf", *options, "--exact", "-o", "json").stdout)[0]
    sizes = {part["name"]: (part["bytes"], part["dryRunBytes"]) for part in told["parts"] if "dryRunBytes" in part}
    assert set(sizes) == {"KV cache", "compute buffer", "output buffer"}
    formula, reserved = sizes["KV cache"]
    assert abs(formula - reserved) < 1 << 20  # the log rounds each of its buffers
    assert all(formula >= reserved - (1 << 20) for formula, reserved in sizes.values())


@pytest.mark.parametrize(
    ("service", "target", "reached"),
    [
        ("ui", ("rag-api", 8000), True),
        ("ui", ("mkdocs", 8000), True),
        ("crawler", ("rag-api", 8000), False),
        ("ui", ("redis", 6379), False),
    ],
)
def test_a_service_is_reached_by_those_that_name_it(
    service: str, target: tuple[str, int], reached: bool, stack: Stack
) -> None:
    program = f"import socket; socket.create_connection({target!r}, 2)"
    assert (stack.run_in(service, "python", "-c", program).returncode == 0) is reached
