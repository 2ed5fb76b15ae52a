"""What is streamed for a client is closed when the client goes away, however early."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from xnai_services.disconnect import ClosingStream


@pytest.mark.parametrize("sends", [0, 1], ids=["before-the-first-piece", "after-a-piece"])
async def test_a_stream_is_closed_when_its_client_goes_away(sends: int) -> None:
    sent: list[Any] = []
    closed: list[bool] = []

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    async def close() -> None:
        closed.append(True)

    async def send(message: Any) -> None:
        if len(sent) > sends:
            raise OSError("the client went away")
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("an answer of this version of ASGI learns of it by sending")

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        await ClosingStream(pieces(), close)(scope, receive, send)
    assert closed == [True]


async def test_a_stream_whose_client_left_before_it_began_is_closed() -> None:
    closed: list[bool] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    async def close() -> None:
        closed.append(True)

    async def send(_: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await ClosingStream(pieces(), close)({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert closed == [True]
