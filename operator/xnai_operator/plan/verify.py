"""Are the tmpfs mounts of the running container what was asked for? Looked at in the container, not in the YAML."""

from collections.abc import Iterable

from xnai_operator.plan.observed import ObservedMount
from xnai_operator.render.pod import TmpfsDirectory


def differences(wanted: Iterable[TmpfsDirectory], found: Iterable[ObservedMount]) -> list[str]:
    """What differs, one phrase a fault; empty when every mount is as wanted."""
    by_path = {mount.mount_path: mount for mount in found}
    faults = []
    for want in wanted:
        have = by_path.get(want.mount_path)
        if have is None:
            faults.append(f"{want.mount_path} is not mounted")
            continue
        flags = {"nosuid", "nodev"} | (set() if want.exec else {"noexec"})
        compared = [
            ("filesystem", "tmpfs", have.filesystem),
            ("size", str(want.size), str(have.size)),
            ("mode", want.mode.lstrip("0"), have.mode.lstrip("0")),
            ("owner", f"{want.uid}:{want.gid}", f"{have.uid}:{have.gid}"),
            ("flags", ",".join(sorted(flags)), ",".join(sorted(flags & have.flags))),
        ]
        faults += [f"{want.mount_path} has {what} {has}, not {wants}" for what, wants, has in compared if wants != has]
    return faults
