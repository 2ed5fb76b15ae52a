"""Text from a model: llama.cpp in this process, one slot, in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Protocol

QUEUE: Final = 4
"""Callers that may wait for the slot; the next one is sent away."""
STOP: Final = ["\n\n", "\nQuestion:", "\nSource"]


class BusyError(Exception):
    """The slot is taken and the queue is full."""


class Model(Protocol):
    """What the generator needs of a model."""

    def complete(self, prompt: str, max_tokens: int) -> Iterator[str]:
        """The pieces of a completion. Blocking."""


class LlamaModel:
    """A GGUF file in llama-cpp-python, set up by the inference contract (XNAI_MODEL, XNAI_CTX, ...)."""

    def __init__(self) -> None:
        # Only the image of the RAG API has it.
        import llama_cpp

        kinds = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}  # ggml_type, ggml.h
        kind = kinds[os.environ.get("XNAI_KV_TYPE", "f16")]
        self._llama: Any = llama_cpp.Llama(
            model_path=os.environ["XNAI_MODEL"],
            n_ctx=int(os.environ.get("XNAI_CTX", "2048")),
            n_threads=int(os.environ.get("XNAI_THREADS", "1")),
            n_threads_batch=int(os.environ.get("XNAI_THREADS", "1")),
            n_gpu_layers=-1 if os.environ.get("XNAI_DEVICE") == "vulkan" else 0,
            type_k=kind,
            type_v=kind,
            # The library's defaults keep the scores of every token (gigabytes), the whole window of every layer, and
            # a larger compute buffer.
            logits_all=False,
            swa_full=False,
            flash_attn=True,
            verbose=False,
        )

    def complete(self, prompt: str, max_tokens: int) -> Iterator[str]:
        """See Model."""
        stream = self._llama.create_completion(prompt, max_tokens=max_tokens, temperature=0.2, stop=STOP, stream=True)
        for part in stream:
            yield part["choices"][0]["text"]


class Generator:
    """Streams completions, one at a time, without blocking the event loop."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._slot = asyncio.Lock()
        self._waiting = 0

    def check(self) -> None:
        """Raises BusyError when too many wait."""
        if self._waiting > QUEUE:
            raise BusyError

    async def stream(self, prompt: str, max_tokens: int) -> AsyncIterator[str]:
        """Pieces of text. Leaving the iteration ends the generation."""
        self._waiting += 1
        try:
            async with self._slot:
                async for piece in self._run(prompt, max_tokens):
                    yield piece
        finally:
            self._waiting -= 1

    async def _run(self, prompt: str, max_tokens: int) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        left = threading.Event()

        def work() -> None:
            result: Exception | None = None
            try:
                for piece in self._model.complete(prompt, max_tokens):
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
                    if left.is_set():
                        break
            except Exception as error:  # whatever the model raises is the answer of this call
                result = error
            loop.call_soon_threadsafe(pieces.put_nowait, result)

        running = asyncio.create_task(asyncio.to_thread(work))
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            left.set()
            await asyncio.shield(running)
