"""A program inside Podman's user and mount namespaces (`podman unshare`): what the operator cannot do outside.

It mounts sized tmpfs directories that Podman then sees, writes files into them, reads the mounts of a container, and
opens sockets in a pod's network namespace. Requests and answers are JSON lines on standard input and output:
`{"id": 1, "op": "mount_tmpfs", ...}` -> `{"id": 1, "ok": {...}}` or `{"id": 1, "error": "..."}`. It ends when its input
closes. Standard library only: it stays small and starts in 30 ms.
"""

import base64
import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Flags of mount(2), umount2(2) and setns(2): linux/mount.h, linux/sched.h.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MNT_DETACH = 2
CLONE_NEWNET = 0x40000000
SIOCGIFADDR, SIOCGIFMTU = 0x8915, 0x8921

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(target: str, flags: int, options: str) -> None:
    # `target` may be a path of /proc/self/fd; the file system type is ignored on a remount.
    _check(_libc.mount(b"tmpfs", target.encode(), b"tmpfs", flags, options.encode()), f"mount {target}")


def _setns(path: str, kind: int) -> None:
    # os.setns comes with Python 3.12.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, kind), f"setns {path}")
    finally:
        os.close(descriptor)


def _unescape(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _mountinfo(pid: str) -> list[dict[str, Any]]:
    """The mounts of a process: proc_pid_mountinfo(5)."""
    found = []
    with open(f"/proc/{pid}/mountinfo") as file:  # noqa: PTH123 - a proc file, read at once
        for line in file:
            left, right = line.rstrip("\n").split(" - ", 1)
            fields = left.split(" ")
            kind, _source, options = right.split(" ", 2)
            found.append(
                {
                    "path": _unescape(fields[4]),
                    "root": _unescape(fields[3]),
                    "filesystem": kind,
                    "flags": sorted(set(fields[5].split(",")) | ({"ro"} if "ro" in options.split(",") else set())),
                }
            )
    return found


def _mounted(path: str) -> bool:
    return any(mount["path"] == path for mount in _mountinfo("self"))


def _unmount(path: str) -> None:
    while _mounted(path):
        _check(_libc.umount2(path.encode(), MNT_DETACH), f"umount {path}")


def _inodes(size: int) -> int:
    # The kernel's own default is one for every second page of the machine: three million files in a tmpfs of 1 MiB.
    return size // 4096 + 1024


def mount_tmpfs(*, path: str, size: int, mode: str, uid: int, gid: int, exec: bool) -> dict[str, Any]:  # noqa: A002
    """An empty tmpfs of exactly these options at `path`; what was mounted there is unmounted first. Files without
    content take memory too, so it has room for an inode a page, and some more."""
    _unmount(path)
    Path(path).mkdir(parents=True, exist_ok=True)
    flags = MS_NOSUID | MS_NODEV | (0 if exec else MS_NOEXEC)
    _mount(path, flags, f"size={size},nr_inodes={_inodes(size)},mode={mode},uid={uid},gid={gid}")
    return {}


def resize(*, path: str, size: int) -> dict[str, Any]:
    """Give the tmpfs mounted at `path` another size; every mount of it sees that. Below its use the kernel refuses."""
    flags = next((mount["flags"] for mount in _mountinfo("self") if mount["path"] == path), None)
    if flags is None:
        raise OSError(f"{path} is no longer mounted in Podman's namespace: its size can be changed at the next start")
    space = os.statvfs(path)
    options = f"size={size},nr_inodes={max(_inodes(size), space.f_files - space.f_ffree)}"
    _mount(path, MS_REMOUNT | MS_NOSUID | MS_NODEV | (MS_NOEXEC if "noexec" in flags else 0), options)
    return {}


def write_files(*, path: str, files: dict[str, str], uid: int, gid: int, secret: bool) -> dict[str, Any]:
    """A read-only tmpfs at `path` allocation `files` (name -> base64), readable by the owner (a secret) or all."""
    contents = {name: base64.b64decode(text) for name, text in files.items()}
    pages = sum((len(content) + 4095) // 4096 + 1 for content in contents.values()) + 4
    mount_tmpfs(path=path, size=pages * 4096, mode="0500" if secret else "0555", uid=uid, gid=gid, exec=False)
    for name, content in contents.items():
        target = Path(path) / name
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), 0o400 if secret else 0o444)
    _mount(path, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "")
    return {}


def prepare(*, tmpfs: list[dict[str, Any]], files: list[dict[str, Any]]) -> dict[str, Any]:
    """All directories of a pod at once: arguments of `mount_tmpfs` and `write_files`."""
    for mount in tmpfs:
        mount_tmpfs(**mount)
    for directory in files:
        write_files(**directory)
    return {}


def room(*, sources: list[str], target: str) -> dict[str, Any]:
    """The bytes in the tmpfs at `sources`, a tenth added, and those that are free where `target` is."""
    used = 0
    for source in filter(_mounted, sources):
        space = os.statvfs(source)
        used += (space.f_blocks - space.f_bfree) * space.f_frsize
    free = os.statvfs(target)
    return {"used": used * 11 // 10, "free": free.f_bavail * free.f_frsize}


def copy(*, source: str, target: str) -> dict[str, Any]:
    """What is in the tmpfs at `source` into `target`, with modes; nothing when no tmpfs is there."""
    if _mounted(source):
        command = ["cp", "--archive", "--", f"{source}/.", target]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=590)
        if done.returncode != 0:
            raise OSError(done.returncode, f"{source} could not be moved to disk: {done.stderr[-300:].strip()}")
    return {}


def remove(*, path: str) -> dict[str, Any]:
    """Unmount and remove a directory made by this program. No error when it is gone."""
    _unmount(path)
    shutil.rmtree(path, ignore_errors=True)
    return {}


def mounts_below(*, path: str) -> dict[str, Any]:
    """The directories directly below `path`, and whether something is mounted on each."""
    mounted = {mount["path"] for mount in _mountinfo("self")}
    directory = Path(path)
    entries = sorted(str(entry) for entry in directory.iterdir()) if directory.is_dir() else []
    return {"entries": {entry: entry in mounted for entry in entries}}


def owners(*, paths: list[str]) -> dict[str, Any]:
    """The users the directories belong to; of those that are gone or not readable none."""
    uids = set()
    for path in paths:
        with contextlib.suppress(OSError):
            uids.add(Path(path).stat().st_uid)
    return {"uids": sorted(uids)}


def _inside(number: int, pid: int, kind: str) -> int:
    """An id as the container counts it (user_namespaces(7)); nobody's when it has none for it."""
    if os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):  # noqa: PTH115
        return number  # and the map of a process tells its own namespace's parent
    for line in Path(f"/proc/{pid}/{kind}_map").read_text().splitlines():
        inside, outside, count = (int(field) for field in line.split())
        if outside <= number < outside + count:
            return inside + number - outside
    return 65534


def container_mounts(*, pid: int) -> dict[str, Any]:
    """Every tmpfs of a running container with size, use (bytes), mode, owner and flags, read in the container
    and as it counts them."""
    found = []
    for mount in _mountinfo(str(pid)):
        if mount["filesystem"] != "tmpfs":
            continue
        inside = f"/proc/{pid}/root{mount['path']}"
        try:
            space, status = os.statvfs(inside), os.stat(inside)  # noqa: PTH116 - both calls on one path
        except OSError:
            continue
        found.append(
            mount
            | {
                "size": space.f_blocks * space.f_frsize,
                "used": (space.f_blocks - space.f_bfree) * space.f_frsize,
                "inodes": space.f_files,
                "inodes_used": space.f_files - space.f_ffree,
                "mode": f"{status.st_mode & 0o7777:o}",
                "uid": _inside(status.st_uid, pid, "uid"),
                "gid": _inside(status.st_gid, pid, "gid"),
            }
        )
    return {"mounts": found}


def _processes(pid: int) -> Iterator[Path]:
    """The directories in /proc of every process in the container's PID namespace."""
    namespace = os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - a magic link, not a path
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if entry.name.isdigit() and os.readlink(f"{entry.path}/ns/pid") == namespace:  # noqa: PTH115
                yield Path(entry.path)


def usage(*, pid: int) -> dict[str, Any]:
    """The proportional set size of every process in the container's PID namespace, in bytes (proc_pid_smaps(5))."""
    total = 0
    for process in _processes(pid):
        try:
            text = (process / "smaps_rollup").read_text()
        except OSError:
            continue  # ended meanwhile, or another user's
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return {"memory": total * 1024}


def bind(*, pid: int, cpus: list[int]) -> dict[str, Any]:
    """Run every thread of the container on these CPUs only (sched_setaffinity(2)); threads made later inherit it."""
    for process in _processes(pid):
        try:
            for thread in (process / "task").iterdir():
                os.sched_setaffinity(int(thread.name), cpus)
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue  # ended meanwhile, or another user's
    return {}


def _in_network_of(pid: int, work: Callable[[], Any]) -> Any:
    """Run `work` in a thread of its own that has joined the network namespace; a socket stays in it for life."""
    answer: list[Any] = []

    def body() -> None:
        try:
            _setns(f"/proc/{pid}/ns/net", CLONE_NEWNET)
            answer.append(work())
        except OSError as error:
            answer.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(answer[0], OSError):
        raise answer[0]
    return answer[0]


def probe(*, pid: int, port: int, path: str | None, seconds: float) -> dict[str, Any]:
    """Connect to 127.0.0.1:`port` in the pod; with `path` an HTTP GET, which succeeds on 200 to 399."""

    def work() -> dict[str, Any]:
        if path is None:
            socket.create_connection(("127.0.0.1", port), seconds).close()
            return {"success": True, "message": f"port {port} accepts connections"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        try:
            connection.request("GET", path, headers={"User-Agent": "xnai-probe"})
            status = connection.getresponse().status
        finally:
            connection.close()
        return {"success": 200 <= status < 400, "message": f"HTTP {status} from :{port}{path}"}

    try:
        answer: dict[str, Any] = _in_network_of(pid, work)
    except TimeoutError:
        return {"success": False, "message": f"no answer from :{port} in {seconds:g} s"}
    except ConnectionRefusedError:
        return {"success": False, "message": f"nothing listens on port {port}"}
    return answer


def mtu(*, pid: int) -> dict[str, Any]:
    """The MTU of every interface but loopback in the pod."""

    def work() -> dict[str, int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            names = [name for _, name in socket.if_nameindex() if name != "lo"]
            request = {name: struct.pack("16sI12x", name.encode(), 0) for name in names}
            return {n: struct.unpack_from("I", fcntl.ioctl(sock, SIOCGIFMTU, r), 16)[0] for n, r in request.items()}

    return {"interfaces": _in_network_of(pid, work)}


def _address(pid: int) -> str | None:
    """The IPv4 address of the pod on its bridge; None when it ended."""

    def work() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            answer = fcntl.ioctl(sock, SIOCGIFADDR, struct.pack("256s", b"eth0"))
        return socket.inet_ntoa(answer[20:24])

    try:
        address: str = _in_network_of(pid, work)
    except OSError:
        return None
    return address


def _gateway(pid: int) -> str:
    """The bridge's own address, from which published ports are forwarded (proc_pid_net(5), route)."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]]
    gateway = next(row[2] for row in rows if row[1] == "00000000")
    return socket.inet_ntoa(struct.pack("<L", int(gateway, 16)))


def restrict(*, pid: int, clients: list[int]) -> dict[str, Any]:
    """A packet filter in the pod's network: new connections from the bridge only from `clients` (process ids)."""
    allowed = sorted({_gateway(pid), *(address for client in clients if (address := _address(client)))})
    rules = f"""\
table inet xnai
delete table inet xnai
table inet xnai {{
  chain input {{
    type filter hook input priority 0; policy accept;
    iifname != "eth0" accept
    ct state established,related accept
    ip saddr {{ {", ".join(allowed)} }} accept
    meta l4proto ipv6-icmp accept
    drop
  }}
}}
"""
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "nft", "-f", "-"]
    # A normal user's PATH lacks the directories of nft.
    environ = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(command, input=rules, capture_output=True, text=True, check=False, env=environ)
    if done.returncode != 0:
        raise OSError(done.returncode, f"nft: {done.stderr.strip()}")
    return {"allowed": allowed}


OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    operation.__name__: operation
    for operation in (
        prepare,
        resize,
        remove,
        copy,
        room,
        mounts_below,
        owners,
        container_mounts,
        usage,
        bind,
        probe,
        mtu,
        restrict,
    )
}


BESIDE = {"probe", "copy"}


def main() -> None:
    """Answer until standard input closes. Mounts follow one another; what may take long runs beside them."""
    lock = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"id": request.pop("id")}
        try:
            reply["ok"] = OPERATIONS[request.pop("op")](**request)
        except Exception as error:
            reply["error"] = str(error) or type(error).__name__
        with lock:
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(16) as pool:
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] in BESIDE:
                pool.submit(answer, request)
            else:
                answer(request)


if __name__ == "__main__":
    main()
