"""A dry run: llama.cpp reserves the memory of a model and reads no weights (0.8 s, 90 MiB)."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from xnai_operator.api.quantity import MI
from xnai_operator.memory.model_size import ModelOptions

IMAGE: Final = "localhost/xnai-inference:0.1.0"

# The library writes the sizes only to its log. n_outputs_max: with the default it reserves scores for every token of a
# batch, which are never touched. load_mode 0 is without mmap, with which no_alloc is refused (llama-cpp-python 0.3.36).
PROGRAM: Final = """
import json, sys, llama_cpp
o = json.loads(sys.argv[1])
llama_cpp.llama_backend_init()
m = llama_cpp.llama_model_default_params()
m.no_alloc, m.load_mode = True, 0
model = llama_cpp.llama_model_load_from_file(o["path"].encode(), m)
if not model:
    sys.exit("the model cannot be loaded")
c = llama_cpp.llama_context_default_params()
c.n_ctx, c.n_seq_max, c.n_batch, c.n_ubatch = o["context"] * o["slots"], o["slots"], o["batch"], o["batch"]
c.n_outputs_max = o["slots"]
c.type_k = c.type_v = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}[o["kv"]]
c.flash_attn_type, c.swa_full, c.kv_unified = int(o["flash"]), o["full"], False
if not llama_cpp.llama_init_from_model(model, c):
    sys.exit("the context cannot be made")
"""

PARTS: Final = {
    "KV cache": re.compile(r"llama_(?:kv_cache|memory_recurrent)\w*: size = *([0-9.]+) MiB"),
    "compute buffer": re.compile(r"compute buffer size = *([0-9.]+) MiB"),
    "output buffer": re.compile(r"output buffer size = *([0-9.]+) MiB"),
}
"""Part of `memory.sizing` -> its lines in the log."""


class DryRunError(Exception):
    """The dry run failed. The message says how to mend it."""


def parse(log: str) -> dict[str, int]:
    """Bytes by part; a part of several buffers is their sum. Raises DryRunError when one is missing."""
    found = {part: [float(value) for value in pattern.findall(log)] for part, pattern in PARTS.items()}
    missing = [part for part, values in found.items() if not values]
    if missing:
        raise DryRunError(f"llama.cpp said nothing of {', '.join(missing)}")
    return {part: int(sum(values) * MI) for part, values in found.items()}


def dry_run(path: Path, load: ModelOptions, seconds: float = 120.0) -> dict[str, int]:
    """Bytes by part, from llama.cpp in the image of the inference services. Raises DryRunError."""
    options = {
        "path": f"/m/{path.name}", "context": load.context, "slots": load.slots, "kv": load.kv_type,
        "batch": load.micro_batch, "flash": load.flash_attention, "full": load.full_window,
    }  # fmt: skip
    command = [
        "podman",
        "run",
        "--rm",
        "--pull=never",
        "--network=none",
        f"--volume={path.resolve()}:/m/{path.name}:ro",
    ]
    try:
        done = subprocess.run(
            [*command, IMAGE, "python", "-c", PROGRAM, json.dumps(options)],
            capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise DryRunError("podman is not installed; `xnai doctor`") from error
    except subprocess.TimeoutExpired as error:
        raise DryRunError(f"llama.cpp did not end in {seconds:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["podman said nothing"])[-1]
        raise DryRunError(f"{last}; `make up` builds {IMAGE}")
    return parse(done.stderr)
