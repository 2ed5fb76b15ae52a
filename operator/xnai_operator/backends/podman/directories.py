"""The directories of pods below the operator's runtime directory: tmpfs, files, and the pressure signal.

`tmpfs/` and `files/` are mounts in Podman's mount namespace, which the helper makes; `signals/` is made here.
"""

import base64
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.host.files import write_atomically
from xnai_operator.render.inference import SIGNAL_FILE
from xnai_operator.render.pod import FileDirectory, RenderedPod, TmpfsDirectory


class Directories:
    """Below `runtime_dir`. Every method raises BackendError when the helper fails."""

    def __init__(self, runtime_dir: str, helper: HelperClient) -> None:
        self._runtime_dir = runtime_dir
        self._signals = Path(runtime_dir) / "signals"
        self._helper = helper

    async def prepare(self, pod: RenderedPod) -> None:
        """Make every directory of the pod: tmpfs empty, files with their content, the signal at 0."""
        if pod.signal is not None:
            _write_signal(Path(pod.signal), 0)
        request = protocol.Prepare(tmpfs=[_tmpfs(t) for t in pod.tmpfs], files=[_files(f) for f in pod.files])
        await self._helper.call(protocol.PREPARE, request)

    async def remove(self, pod: str) -> list[str]:
        """Remove the directories of the pod. Returns their paths."""
        return await self._remove(lambda name: _belongs(name, pod))

    async def sweep(self, keep: Collection[str]) -> list[str]:
        """Remove the directories that belong to no pod in `keep`. Returns their paths."""
        return await self._remove(lambda name: not any(_belongs(name, pod) for pod in keep))

    async def _remove(self, doomed: Callable[[str], bool]) -> list[str]:
        removed = []
        for directory in self._signals.iterdir() if self._signals.is_dir() else ():
            if doomed(directory.name):
                shutil.rmtree(directory, ignore_errors=True)
                removed.append(str(directory))
        for kind in ("tmpfs", "files"):
            below = protocol.ListDirectory(path=f"{self._runtime_dir}/{kind}")
            for path in (await self._helper.call(protocol.LIST_DIRECTORY, below))["paths"]:
                if doomed(path.rsplit("/", 1)[1]):
                    await self._helper.call(protocol.REMOVE, protocol.Remove(path=path))
                    removed.append(path)
        return removed

    def signal(self, pod: str, step: int) -> None:
        """Write the step of the pressure ladder for a pod that reads it."""
        directory = self._signals / pod
        if directory.is_dir():
            _write_signal(directory, step)


def _belongs(name: str, pod: str) -> bool:
    """Whether a directory of this name is the pod's: its signal has the pod's name, a mount `<pod>.<thing>`."""
    return name == pod or name.startswith(f"{pod}.")


def _tmpfs(tmpfs: TmpfsDirectory) -> protocol.TmpfsMount:
    return {
        "path": tmpfs.source,
        "size": tmpfs.size,
        "mode": tmpfs.mode,
        "uid": tmpfs.uid,
        "gid": tmpfs.gid,
        "exec": tmpfs.exec,
    }


def _files(directory: FileDirectory) -> protocol.FileMount:
    return {
        "path": directory.source,
        "files": {name: base64.b64encode(content).decode() for name, content in directory.files.items()},
        "uid": directory.uid,
        "gid": directory.gid,
        "secret": directory.secret,
    }


def _write_signal(directory: Path, step: int) -> None:
    """Readable by every user of the pod, whatever the umask."""
    write_atomically(directory / SIGNAL_FILE, f"{step}\n", mode=0o644)
    directory.chmod(0o755)
