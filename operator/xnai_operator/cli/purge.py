"""`xnai purge`: delete what this installation made on the machine, after saying what it is."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from xnai_operator import wiring
from xnai_operator.cli import background
from xnai_operator.cli.down import stop_pods
from xnai_operator.cli.output import Exit, Format, fail, mebibytes, out, show
from xnai_operator.config import Config
from xnai_operator.errors import BackendError
from xnai_operator.render import names

Podman = Callable[..., str]
"""Runs podman with these arguments; its standard output. Raises PurgeError."""

OWN_IMAGES: Final = "localhost/xnai-*"
COMMANDS: Final = {
    "pod": ("pod", "rm", "--force", "--ignore", "--time", "10"),
    "volume": ("volume", "rm", "--force"),
    "network": ("network", "rm"),
    "image": ("image", "rm", "--force"),
    # Some files belong to users of containers.
    "folder": ("unshare", "rm", "-rf", "--one-file-system"),
}
"""How each kind of thing is deleted, in this order."""


class PurgeError(Exception):
    """Something could not be looked at or deleted. The message says what."""


@dataclass(frozen=True)
class Item:
    """A thing to delete. `size` in bytes, None where it takes none."""

    kind: str
    name: str
    size: int | None = None


def run(*, yes: bool, keep_images: bool, caches: bool) -> None:
    """Delete everything of this installation, after asking."""
    config = Config.read()

    def stop() -> None:
        background.stop(config)
        asyncio.run(stop_pods(config))

    try:
        purge(config, stop, yes=yes, images=not keep_images, caches=caches)
    except (TimeoutError, BackendError, PurgeError) as error:
        fail(str(error))


def podman(*arguments: str) -> str:
    """A Podman."""
    try:
        done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PurgeError("podman is not installed: what it holds can be neither listed nor deleted") from error
    if done.returncode:
        raise PurgeError(f"podman {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout


def cache(environ: Mapping[str, str] = os.environ) -> Path:
    """What was downloaded and built, for every installation of this user."""
    return Path(environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '/')}/.cache") / "xnai"


def inventory(config: Config, execute: Podman, *, images: bool, caches: bool) -> list[Item]:
    """What there is to delete. Images and caches are of all installations: a second one (XNAI_INSTANCE) leaves them."""
    first = not config.instance
    key = config.state / "installation.key"
    own = wiring.installation(config).installation if key.exists() else ""
    managed = f"label={names.LABEL_MANAGED}={names.MANAGER}"
    pods = json.loads(execute("pod", "ps", "--format", "json", "--filter", managed))
    volumes = json.loads(execute("volume", "ls", "--format", "json", "--filter", managed))
    networks = json.loads(execute("network", "ls", "--format", "json", "--filter", managed))
    found = [Item("pod", pod["Name"]) for pod in pods if _is_own(pod, own)]
    mountpoints = {volume["Name"]: Path(volume["Mountpoint"]) for volume in volumes if _is_own(volume, own)}
    folders = [config.state, config.data, config.runtime, *([cache()] if caches and first else [])]
    folders = [folder for folder in folders if folder.exists()]
    sizes = _sizes(execute, [*mountpoints.values(), *folders])
    found += [Item("volume", name, sizes.get(path)) for name, path in mountpoints.items()]
    used = {network for pod in pods if not _is_own(pod, own) for network in pod.get("Networks") or ()}
    found += [Item("network", network["name"]) for network in networks if network["name"] not in used]
    if images and first:
        listed = json.loads(execute("images", "--format", "json", "--filter", f"reference={OWN_IMAGES}"))
        found += [Item("image", image["Names"][0], image["Size"]) for image in listed]
    return found + [Item("folder", str(folder), sizes.get(folder)) for folder in folders]


def _is_own(found: Mapping[str, Any], installation: str) -> bool:
    """By its label. What carries none was made before there were several installations."""
    label = (found.get("Labels") or {}).get(names.LABEL_INSTALLATION)
    return label in {None, installation}


def _sizes(execute: Podman, paths: Sequence[Path]) -> dict[Path, int]:
    """Bytes of each folder, as Podman's user namespace sees it."""
    if not paths:
        return {}
    lines = execute("unshare", "du", "--summarize", "--block-size=1", *map(str, paths)).splitlines()
    return {Path(path): int(size) for size, path in (line.split("\t", 1) for line in lines)}


def delete(items: Sequence[Item], execute: Podman) -> list[str]:
    """Delete them, all that can be deleted. Why the rest could not."""
    faults = []
    for kind, command in COMMANDS.items():
        for item in items:
            if item.kind != kind:
                continue
            try:
                execute(*command, item.name)
            except PurgeError as error:
                faults.append(f"{kind} {item.name} is not deleted: {error}")
    return faults


def purge(
    config: Config, stop: Callable[[], None], *, yes: bool, images: bool, caches: bool, execute: Podman = podman
) -> None:
    """Say what there is, ask unless `yes`, call `stop` to end everything that runs, delete. Raises PurgeError."""
    items = inventory(config, execute, images=images, caches=caches)
    unit = background.unit_path(config)
    if not items and not unit.exists():
        out.print("there is nothing to delete")
        return
    rows = [{"kind": i.kind, "name": i.name, "size": "" if i.size is None else mebibytes(i.size)} for i in items]
    rows += [{"kind": "unit", "name": str(unit), "size": ""}] if unit.exists() else []
    show(rows, ("kind", "name", "size"), Format.TABLE)
    if not yes:
        if not sys.stdin.isatty():
            fail("standard input is no terminal, so nobody can be asked; say --yes to delete all of it", Exit.USAGE)
        if not typer.confirm("Delete all of it, persistent data included?"):
            out.print("nothing was deleted")
            raise typer.Exit(Exit.CONDITION_FALSE)
    stop()
    if unit.exists():
        background.remove_unit(config)
    if faults := delete(items, execute):
        raise PurgeError("\n".join(faults))
    out.print(f"deleted {len(items)} things")
