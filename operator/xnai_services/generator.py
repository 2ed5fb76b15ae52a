"""Text from a model, streamed: one completion at a time, in one thread."""

import asyncio
import contextlib
import ctypes
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

QUEUE: Final = 4
"""Callers that may wait for the slot; the next one is sent away."""


class BusyError(Exception):
    """The slot is taken and the queue is full."""

    def __init__(self) -> None:
        super().__init__("too many questions at once")


class AbortedError(Exception):
    """The completion was aborted."""

    def __init__(self) -> None:
        super().__init__("the service is stopping")


class Abort:
    """Asks a completion to end. `flag` is a C string: empty, or one character once the completion is to end.

    Threads of llama.cpp read the flag without the interpreter and its lock.
    """

    def __init__(self) -> None:
        self.flag = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """End the completion. From any thread."""
        self.flag[0] = b"\x01"

    def is_set(self) -> bool:
        """Whether the completion is to end."""
        return bool(self.flag.value)


class Model(Protocol):
    """The interface of a model for the RAG API."""

    @property
    def context(self) -> int:
        """Tokens of a prompt and its completion together."""

    def count(self, text: str) -> int:
        """The tokens of a prompt. From any thread, also while a completion is under way."""

    def complete(self, prompt: str, max_tokens: int, abort: Abort) -> Iterator[str]:
        """The pieces of a completion. Blocking, one at a time; ends soon after `abort` is set."""


class Generator:
    """Streams completions, one at a time, without blocking the event loop.

    The slot is a thread: the next completion begins when the thread has left the one before, however early the caller
    of that one went away. llama.cpp does not survive two threads in one context.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._aborts: set[Abort] = set()

    async def stream(self, prompt: str, max_tokens: int) -> AsyncGenerator[str, None]:
        """Pieces of text. Leaving the iteration ends the completion, also while the model reads the prompt.

        Raises BusyError when too many wait, AbortedError when the generator is closed, and what the model raises.
        """
        if len(self._aborts) > QUEUE:
            raise BusyError
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        abort = Abort()

        def tell(piece: str | BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the piece
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def work() -> None:
            for piece in self.model.complete(prompt, max_tokens, abort):
                if abort.is_set():
                    break
                tell(piece)
            if abort.is_set():
                raise AbortedError

        def ended(done: "Future[None]") -> None:
            tell(AbortedError() if done.cancelled() else done.exception())

        running = self._thread.submit(work)
        running.add_done_callback(ended)
        self._aborts.add(abort)
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self._aborts.discard(abort)
            abort.set()
            running.cancel()

    async def close(self) -> None:
        """End the completion under way and those that wait; returns when the thread has left the model."""
        for abort in self._aborts:
            abort.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
