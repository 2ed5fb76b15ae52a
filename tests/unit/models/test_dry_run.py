"""What is read of llama.cpp's log."""

from pathlib import Path

import pytest

from xnai_operator.api.quantity import MI
from xnai_operator.memory.model_size import ModelOptions
from xnai_operator.models.dry_run import DryRunError, dry_run, parse

LOG = """\
llama_context:        CPU  output buffer size =     1.00 MiB
llama_kv_cache_iswa: creating non-SWA KV cache, size = 2048 cells
llama_kv_cache: size =    6.00 MiB (  2048 cells,   3 layers,  1/1 seqs), K (f16):    3.00 MiB, V (f16):    3.00 MiB
llama_kv_cache: size =   15.00 MiB (  1024 cells,  15 layers,  1/1 seqs), K (f16):    7.50 MiB, V (f16):    7.50 MiB
sched_reserve:        CPU compute buffer size =    20.75 MiB
"""


def test_buffers_of_one_part_are_added() -> None:
    assert parse(LOG) == {"KV cache": 21 * MI, "compute buffer": int(20.75 * MI), "output buffer": MI}


def test_a_log_that_lacks_a_part_is_told() -> None:
    with pytest.raises(DryRunError, match="nothing of KV cache, compute buffer"):
        parse("llama_context: CPU output buffer size = 1.00 MiB")


def test_without_podman_the_next_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DryRunError, match="xnai doctor"):
        dry_run(Path("m.gguf"), ModelOptions())
