"""The columns of `xnai status`."""

from typing import Any

import pytest

from xnai_operator.cli.status import url


def published(**port: Any) -> dict[str, Any]:
    return {"name": "http", "containerPort": 80, "hostPort": 8000, **port}


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([published()], "http://127.0.0.1:8000/", id="default"),
        pytest.param([published(hostIP="")], "http://127.0.0.1:8000/", id="empty means the default"),
        pytest.param([published(hostIP="0.0.0.0")], "http://127.0.0.1:8000/", id="all addresses"),
        pytest.param([published(hostIP="::1")], "http://[::1]:8000/", id="brackets around IPv6"),
        pytest.param([published(hostIP="::")], "http://[::1]:8000/", id="all IPv6 addresses"),
        pytest.param([published(protocol="UDP")], "", id="UDP has no page"),
        pytest.param([{"name": "http", "containerPort": 80}], "", id="not published"),
    ],
)
def test_the_url_can_be_opened(ports: list[dict[str, Any]], expected: str) -> None:
    assert url({"metadata": {"name": "x"}, "spec": {"image": "a", "ports": ports}}) == expected
