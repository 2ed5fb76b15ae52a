"""A GGUF file in llama.cpp, by llama-cpp-python."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any, Final

from xnai_services.generator import Abort, AbortedError

STOP: Final = ["\n\n", "\nQuestion:", "\nSource"]


class LlamaModel:
    """A model set up by the inference contract (XNAI_MODEL, XNAI_CTX, ...). See generator.Model."""

    def __init__(self) -> None:
        # Only the image of the RAG API has it.
        import llama_cpp

        kinds = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}  # ggml_type, ggml.h
        kind = kinds[os.environ.get("XNAI_KV_TYPE", "f16")]
        context = int(os.environ.get("XNAI_CTX", "2048"))
        self._llama: Any = llama_cpp.Llama(
            model_path=os.environ["XNAI_MODEL"],
            n_ctx=context,
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
        # llama.cpp rounds a context up to 256 tokens; llama-cpp-python keeps as many tokens as it was asked for.
        size: int = self._llama.n_ctx()
        self._context = min(context or size, size)
        self._set_abort_callback = llama_cpp.llama_set_abort_callback
        self._never = llama_cpp.ggml_abort_callback()
        # The callback takes a pointer and answers a bool, before each node of the graph, hundreds of times a token. A
        # Python function would wait for the interpreter's lock each time: strlen of Abort.flag is 0 or 1.
        strlen = ctypes.CDLL(None).strlen
        self._asks = ctypes.cast(strlen, llama_cpp.ggml_abort_callback)

    @property
    def context(self) -> int:
        """See generator.Model."""
        return self._context

    def _tokens(self, text: str) -> list[int]:
        """With the tokens that begin a prompt. A control token's name in the text is text."""
        tokens: list[int] = self._llama.tokenize(text.encode(errors="replace"), add_bos=True, special=False)
        return tokens

    def count(self, text: str) -> int:
        """See generator.Model."""
        return len(self._tokens(text))

    def complete(self, prompt: str, max_tokens: int, abort: Abort) -> Iterator[str]:
        """See generator.Model. Raises AbortedError when the abort came while llama.cpp was at work."""
        tokens = self._tokens(prompt)
        stream = self._llama.create_completion(tokens, max_tokens=max_tokens, temperature=0.2, stop=STOP, stream=True)
        self._set_abort_callback(self._llama.ctx, self._asks, ctypes.addressof(abort.flag))
        try:
            with contextlib.closing(stream):
                for part in stream:
                    yield part["choices"][0]["text"]
        except Exception as error:
            # What was decoded last has no logits, and llama-cpp-python would sample from them when the same prompt
            # comes next.
            self._llama.reset()
            if abort.is_set():
                raise AbortedError from error
            raise
        finally:
            self._set_abort_callback(self._llama.ctx, self._never, None)
