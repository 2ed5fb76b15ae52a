"""Directories and mounts: the tmpfs of pods, made here and seen by Podman, and those of a running container."""

import binascii
import contextlib
import os
import re
import subprocess

from xnai_operator.backends.podman.helper import protocol, syscalls
from xnai_operator.backends.podman.helper.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT

PAGE = 4096
NOBODY = 65534
COPY_SECONDS = protocol.COPY.seconds - 10
"""Less than the client waits, so that it gets a message."""


def parse_mountinfo(text: str) -> list[protocol.Mount]:
    """The mounts in a text of proc_pid_mountinfo(5), in its order."""
    mounts = []
    for line in text.splitlines():
        # The optional fields before the hyphen are of any number.
        left, right = line.split(" - ", 1)
        fields = left.split(" ")
        kind, _source, options = right.split(" ", 2)
        flags = set(fields[5].split(","))
        if "ro" in options.split(","):
            flags.add("ro")
        mounts.append(
            protocol.Mount(path=_unescape(fields[4]), root=_unescape(fields[3]), filesystem=kind, flags=sorted(flags))
        )
    return mounts


def _unescape(text: str) -> str:
    """The kernel writes a blank, a tab, a newline and a backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mounts(pid: int | str) -> list[protocol.Mount]:
    # A name that is not UTF-8 must not hide the other mounts.
    with open(f"/proc/{pid}/mountinfo", errors="surrogateescape", newline="\n") as file:
        return parse_mountinfo(file.read())


def _mount_at(path: str) -> protocol.Mount | None:
    return next((mount for mount in _mounts("self") if mount["path"] == path), None)


def _unmount(path: str) -> None:
    while _mount_at(path) is not None:
        syscalls.unmount(path)


def _inodes(size: int) -> int:
    # The kernel's own default is one for every second page of the machine: three million files in a tmpfs of 1 MiB.
    # Files without content take memory too, so there is an inode a page, and some more.
    return size // PAGE + 1024


def _mount_tmpfs(tmpfs: protocol.TmpfsMount) -> None:
    """Unmounts first what is mounted at the path."""
    path, size = tmpfs["path"], tmpfs["size"]
    _unmount(path)
    os.makedirs(path, exist_ok=True)
    flags = MS_NOSUID | MS_NODEV | (0 if tmpfs["exec"] else MS_NOEXEC)
    owner = f"mode={tmpfs['mode']},uid={tmpfs['uid']},gid={tmpfs['gid']}"
    syscalls.mount_tmpfs(path, flags, f"size={size},nr_inodes={_inodes(size)},{owner}")


def _mount_files(directory: protocol.FileMount) -> None:
    path, uid, gid, secret = directory["path"], directory["uid"], directory["gid"], directory["secret"]
    contents = {name: binascii.a2b_base64(text) for name, text in directory["files"].items()}
    pages = sum((len(content) + PAGE - 1) // PAGE + 1 for content in contents.values()) + 4
    mode = "0500" if secret else "0555"
    _mount_tmpfs(protocol.TmpfsMount(path=path, size=pages * PAGE, mode=mode, uid=uid, gid=gid, exec=False))
    for name, content in contents.items():
        descriptor = os.open(f"{path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, 0o400 if secret else 0o444)
    syscalls.mount_tmpfs(path, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "")


def prepare(request: protocol.Prepare) -> protocol.Empty:
    """All directories of a pod, empty or with their files."""
    for tmpfs in request["tmpfs"]:
        _mount_tmpfs(tmpfs)
    for directory in request["files"]:
        _mount_files(directory)
    return {}


def resize(request: protocol.Resize) -> protocol.Empty:
    """Every mount of the tmpfs gets the new size. Below its use the kernel refuses."""
    path, size = request["path"], request["size"]
    mount = _mount_at(path)
    if mount is None:
        raise OSError(f"{path} is no longer mounted in Podman's namespace: its size can be changed at the next start")
    space = os.statvfs(path)
    flags = MS_REMOUNT | MS_NOSUID | MS_NODEV | (MS_NOEXEC if "noexec" in mount["flags"] else 0)
    inodes = max(_inodes(size), space.f_files - space.f_ffree)
    syscalls.mount_tmpfs(path, flags, f"size={size},nr_inodes={inodes}")
    return {}


def remove(request: protocol.Remove) -> protocol.Empty:
    """Unmounts and removes a directory of this program."""
    _unmount(request["path"])
    for parent, directories, files in os.walk(request["path"], topdown=False):
        for name in files:
            with contextlib.suppress(OSError):
                os.unlink(f"{parent}/{name}")
        for name in directories:
            path = f"{parent}/{name}"
            with contextlib.suppress(OSError):
                os.unlink(path) if os.path.islink(path) else os.rmdir(path)
    with contextlib.suppress(OSError):
        os.rmdir(request["path"])
    return {}


def room(request: protocol.Room) -> protocol.RoomAnswer:
    """How much is in the tmpfs at the sources, and how much is free at the target."""
    used = 0
    for source in request["sources"]:
        if _mount_at(source) is not None:
            space = os.statvfs(source)
            used += (space.f_blocks - space.f_bfree) * space.f_frsize
    disk = os.statvfs(request["target"])
    return {"used": used * 11 // 10, "free": disk.f_bavail * disk.f_frsize}


def copy(request: protocol.Copy) -> protocol.Empty:
    """Copies the content of a tmpfs with owners and modes."""
    source = request["source"]
    if _mount_at(source) is not None:
        command = ["cp", "--archive", "--", f"{source}/.", request["target"]]
        # Its own standard input: the client takes the helper for alive while a process has the helper's.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=COPY_SECONDS
        )
        if done.returncode != 0:
            raise OSError(done.returncode, f"{source} could not be moved to disk: {done.stderr[-300:].strip()}")
    return {}


def list_directory(request: protocol.ListDirectory) -> protocol.Paths:
    """What is directly below a directory."""
    try:
        names = os.listdir(request["path"])
    except (FileNotFoundError, NotADirectoryError):
        names = []
    return {"paths": sorted(f"{request['path']}/{name}" for name in names)}


def owners(request: protocol.Owners) -> protocol.Uids:
    """The users the directories belong to."""
    uids = set()
    for path in request["paths"]:
        with contextlib.suppress(OSError):
            uids.add(os.stat(path).st_uid)
    return {"uids": sorted(uids)}


def container_mounts(request: protocol.ContainerMounts) -> protocol.MountUses:
    """Every tmpfs of a running container, read in the container."""
    pid = request["pid"]
    uid_map, gid_map = _id_map(pid, "uid"), _id_map(pid, "gid")
    mounts: list[protocol.MountUse] = []
    for mount in _mounts(pid):
        if mount["filesystem"] != "tmpfs":
            continue
        path = f"/proc/{pid}/root{mount['path']}"
        try:
            space, status = os.statvfs(path), os.stat(path)
        except OSError:
            continue
        mounts.append(
            {
                **mount,
                "size": space.f_blocks * space.f_frsize,
                "used": (space.f_blocks - space.f_bfree) * space.f_frsize,
                "inodes": space.f_files,
                "inodes_used": space.f_files - space.f_ffree,
                "mode": f"{status.st_mode & 0o7777:o}",
                "uid": inside(status.st_uid, uid_map),
                "gid": inside(status.st_gid, gid_map),
            }
        )
    return {"mounts": mounts}


def _id_map(pid: int, kind: str) -> str | None:
    """The text of /proc/PID/uid_map or gid_map; None when the container shares our user namespace: the map of a
    process tells of its namespace's parent."""
    if os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
        return None
    with open(f"/proc/{pid}/{kind}_map") as file:
        return file.read()


def inside(number: int, id_map: str | None) -> int:
    """An id as the container counts it (user_namespaces(7)); nobody's when its map has none for it."""
    if id_map is None:
        return number
    for line in id_map.splitlines():
        first, outside, count = (int(field) for field in line.split())
        if outside <= number < outside + count:
            return first + number - outside
    return NOBODY
