"""What the machine says of ports and paths, asked of the machine that runs the tests."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from xnai_operator.api.host_ports import HostPort
from xnai_operator.host import required


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_by_another_program_is_told(address: str, taken: int) -> None:
    port = HostPort(address, taken, "TCP")
    assert "is in use by another program" in required.port_faults([port])[port]


def test_a_free_port_has_no_fault(taken: int) -> None:
    assert required.port_faults([HostPort("127.0.0.2", taken, "TCP"), HostPort("127.0.0.1", taken, "UDP")]) == {}


def test_an_address_of_another_machine_is_told() -> None:
    port = HostPort("192.0.2.1", 8000, "TCP")  # TEST-NET-1, RFC 5737
    assert "192.0.2.1 is not an address of this machine" in required.port_faults([port])[port]


def test_a_low_port_of_a_normal_user_is_told_with_the_sysctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    first = tmp_path / "first"
    first.write_text("1024\n")
    monkeypatch.setattr(required, "UNPRIVILEGED", first)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    port = HostPort("127.0.0.1", 80, "TCP")
    assert "is below 1024, which a normal user cannot bind" in required.port_faults([port])[port]


def test_a_path_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = [str(tmp_path), str(tmp_path / "none"), str(tmp_path / "file/below")]
    assert required.path_faults(paths) == {paths[1]: "is not on this machine", paths[2]: "Not a directory"}
