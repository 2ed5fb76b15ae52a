"""Ports of the machine that services publish."""

import ipaddress
from typing import NamedTuple

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class HostPort(NamedTuple):
    """A port of the machine. `protocol`: TCP or UDP. The address `::` stands for all addresses of both families, as
    Linux binds it."""

    address: str
    port: int
    protocol: str

    def overlaps(self, other: "HostPort") -> bool:
        """Whether one of the two ports keeps the other from being bound."""
        if (self.port, self.protocol) != (other.port, other.protocol):
            return False
        own, its = ipaddress.ip_address(self.address), ipaddress.ip_address(other.address)
        if own == its or "::" in {self.address, other.address}:
            return True
        return own.version == its.version and not _EVERY_ADDRESS.isdisjoint({self.address, other.address})

    @property
    def text(self) -> str:
        """`127.0.0.1:8000`, `[::1]:8000`; with /UDP for that protocol."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + ("" if self.protocol == "TCP" else f"/{self.protocol}")


def checked_address(text: str) -> str:
    """An IP address without a zone; an empty text means 127.0.0.1. Raises ValueError for anything else."""
    if not text:
        return "127.0.0.1"
    try:
        if "%" not in text:
            return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not an IP address; write an address of this machine, such as 127.0.0.1 or ::1")
