"""System calls that Python's `os` lacks, over ctypes. Each raises OSError with the call and its target."""

import ctypes
import os

# linux/mount.h, linux/sched.h, malloc.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MNT_DETACH = 2
CLONE_NEWNET = 0x40000000
M_ARENA_MAX = -8

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount_tmpfs(target: str, flags: int, options: str) -> None:
    """mount(2) of a tmpfs; with MS_REMOUNT it changes the one mounted at `target`."""
    _check(_libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", flags, options.encode()), f"mount {target}")


def unmount(target: str) -> None:
    """umount2(2), which detaches a mount that is in use."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def join_network(pid: int) -> None:
    """The calling thread joins the network namespace of a process: setns(2). `os.setns` comes with Python 3.12."""
    path = f"/proc/{pid}/ns/net"
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), f"setns {path}")
    finally:
        os.close(descriptor)


def use_one_malloc_arena() -> None:
    """glibc makes an arena of memory for each thread, up to eight for each CPU; one is enough for small messages."""
    if hasattr(_libc, "mallopt"):  # musl has no arenas and no mallopt
        _libc.mallopt(M_ARENA_MAX, 1)
