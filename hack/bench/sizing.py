#!/usr/bin/env python3
"""Predicted against measured memory of llama.cpp, over the real model and synthetic ones.

    hack/bench/sizing [--quick] [--only WORD]   (makes an environment with gguf, then runs this)

One process a configuration, in the image of hack/images, loads the model, reads a prompt that fills every context
and says its RssAnon and RssFile. Compared is what the model adds: the runtime's own memory is
measured in the same process before the model is loaded. Ends with 1 when a prediction is below what was measured or
too far above.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

import kv_cache
from architectures import MAKERS, make
from synthetic import SHAPES, synthesise

from xnai_operator.api.quantity import MI
from xnai_operator.memory.model_size import BASE, ModelOptions, size
from xnai_operator.models.dry_run import IMAGE
from xnai_operator.models.gguf import read_file

# One slot is loaded as the service does it, by the class; several through the C API, as the class has one only.
CHILD = """
import ctypes, json, sys
def used():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [int(lines[key].split()[0]) * 1024 for key in ("RssAnon", "RssFile")]
import llama_cpp
o = json.loads(sys.argv[1])
kind = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}[o["kv"]]
before = used()
length = o["ctx"] - 8
tokens = [3 + i % 200 for i in range(length)]
if o["slots"] == 1 and o["repack"]:
    m = llama_cpp.Llama(o["path"], n_ctx=o["ctx"], n_batch=o["batch"], n_ubatch=o["batch"], n_threads=2,
        n_threads_batch=2, type_k=kind, type_v=kind, use_mmap=o["mmap"], logits_all=False, swa_full=o["full"],
        flash_attn=o["fa"], verbose=False)
    m.eval(tokens)
    m.sample()
else:
    llama_cpp.llama_backend_init()
    p = llama_cpp.llama_model_default_params()
    p.use_extra_bufts = o["repack"]
    m = llama_cpp.llama_model_load_from_file(o["path"].encode(), p)
    c = llama_cpp.llama_context_default_params()
    c.n_ctx, c.n_seq_max, c.n_batch, c.n_ubatch = o["ctx"] * o["slots"], o["slots"], o["batch"], o["batch"]
    c.type_k = c.type_v = kind
    c.flash_attn_type, c.swa_full, c.kv_unified = int(o["fa"]), o["full"], False
    c.n_threads = c.n_threads_batch = 2
    x = llama_cpp.llama_init_from_model(m, c)
    b = llama_cpp.llama_batch_init(o["batch"], 0, 1)
    for slot in range(o["slots"]):
        for start in range(0, length, o["batch"]):
            some = tokens[start:start + o["batch"]]
            b.n_tokens = len(some)
            for i, token in enumerate(some):
                b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0] = token, start + i, 1, slot
                b.logits[i] = i == len(some) - 1
            assert llama_cpp.llama_decode(x, b) == 0
print(json.dumps({"before": before, "after": used()}))
"""

KINDS = ("F16", "Q8_0", "Q4_0")

Case = tuple[str, str, ModelOptions]
"""Name of a shape, or the real model; quantisation; how it is loaded."""


def cases(quick: bool) -> list[Case]:
    """Contexts, types of the cache, flash attention, slots; quick: a handful, one of each sort."""
    real = "gemma-3-270m-q4_k_m"
    if quick:
        return [
            (real, "", ModelOptions(512)),
            (real, "", ModelOptions(2048, flash_attention=False)),
            ("llama-small", "Q4_0", ModelOptions(1024)),
            ("qwen2-bpe", "Q8_0", ModelOptions(1024, kv_type="q8_0")),
            ("gemma3", "F16", ModelOptions(2048, slots=2)),
        ]
    made: list[Case] = [(real, "", ModelOptions(c, kv_type=k)) for c in (512, 2048, 8192) for k in ("f16", "q8_0")]
    made += [(real, "", ModelOptions(c, flash_attention=False)) for c in (512, 2048, 8192)]
    made += [(real, "", ModelOptions(2048, slots=s)) for s in (2, 4)]
    made += [(real, "", ModelOptions(8192, full_window=True)), (real, "", ModelOptions(2048, mmap=False))]
    made += [(real, "", ModelOptions(2048, micro_batch=128)), (real, "", ModelOptions(4096, micro_batch=2048))]
    for name, kind in itertools.product(SHAPES, KINDS):
        made += [(name, kind, ModelOptions(1024))]
    for name in SHAPES:
        if name != "mamba":
            made += [
                (name, "Q8_0", ModelOptions(4096, kv_type="q8_0")),
                (name, "Q8_0", ModelOptions(4096, flash_attention=False)),
            ]
        made += [(name, "Q4_0", ModelOptions(2048, slots=3))]
    made += [(name, "F16", ModelOptions(4096)) for name in MAKERS]
    made += [
        ("llama-deep", "Q4_0", ModelOptions(1024, repack=False)),
        ("llama-deep", "Q4_0", ModelOptions(1024, mmap=False)),
    ]
    return made


def measure(path: Path, load: ModelOptions) -> dict[str, list[int]]:
    """RssAnon and RssFile before and after. Raises RuntimeError with the last line of the process."""
    options = {
        "path": f"/m/{path.name}", "ctx": load.context, "slots": load.slots, "kv": load.kv_type,
        "fa": load.flash_attention, "batch": load.micro_batch, "mmap": load.mmap, "repack": load.repack,
        "full": load.full_window,
    }  # fmt: skip
    command = ["podman", "run", "--rm", "--network=none", f"--volume={path.parent}:/m:ro", IMAGE, "python", "-c", CHILD]
    done = subprocess.run([*command, json.dumps(options)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    measured: dict[str, list[int]] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def label(name: str, kind: str, load: ModelOptions) -> str:
    """One row's head."""
    special = [f"ubatch={load.micro_batch}"] * (load.micro_batch != 512) + ["no-mmap"] * (not load.mmap)
    special += ["no-repack"] * (not load.repack) + ["swa-full"] * load.full_window
    flash = "on" if load.flash_attention else "off"
    what = " ".join([name, kind, *special]).replace("  ", " ")
    return f"{what:<36} {load.context:>5} {load.slots:>5} {load.kv_type:>5} {flash:>3}"


def _path(name: str, kind: str, models: Path, scratch: Path) -> Path:
    if name in MAKERS:
        return make(scratch, name)
    return synthesise(scratch, name, kind) if kind else models / f"{name}.gguf"


def compare(made: Iterable[Case], models: Path, scratch: Path) -> int:
    """Prints the table; returns how many are outside the bar."""
    print(
        f"{'model':<36} {'ctx':>5} {'slots':>5} {'kv':>5} {'fa':>3} {'predicted':>9} {'measured':>8} {'file':>6} ratio"
    )
    ratios: list[float] = []
    runtime = bad = 0
    for name, kind, load in made:
        path = _path(name, kind, models, scratch)
        head = label(name, kind, load)
        try:
            measured = measure(path, load)
        except RuntimeError as error:
            print(f"{head}  FAILED: {error}", flush=True)
            bad += 1
            continue
        used, file = (after - before for before, after in zip(measured["before"], measured["after"], strict=True))
        runtime = max(runtime, measured["before"][0])
        predicted = size(read_file(path), load).anonymous - BASE[load.runtime]
        most = max(used * (1.15 if load.flash_attention else 1.30), used + 16 * MI)
        verdict = "  BELOW" if predicted < used else "  TOO FAR ABOVE" if predicted > most else ""
        bad += bool(verdict)
        ratios.append(predicted / used)
        figures = f"{predicted / MI:>9.1f} {used / MI:>8.1f} {file / MI:>6.0f} {predicted / used:>5.2f}{verdict}"
        print(f"{head} {figures}", flush=True)
    print(f"{len(ratios)} configurations, {bad} outside the bar, ratio {min(ratios):.2f} to {max(ratios):.2f}")
    print(
        f"runtime before a model: {runtime / MI:.0f} MiB, planned {BASE['llama-cpp-python'] / MI:.0f} MiB with the API"
    )
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description="Predicted against measured memory of llama.cpp.")
    parser.add_argument("--quick", action="store_true", help="five configurations")
    parser.add_argument("--only", default="", help="rows that contain this word")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xnai"
    parser.add_argument("--models", type=Path, default=cache / "models", help="where the real model is")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "xnai-sizing")
    parser.add_argument("--kv-cache", action="store_true", help="only the KV cache, against a dry run of llama.cpp")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    if options.kv_cache:
        return 1 if kv_cache.compare(options.scratch, options.only) else 0
    chosen = [case for case in cases(options.quick) if options.only in label(*case)]
    return 1 if compare(chosen, options.models, options.scratch) else 0


if __name__ == "__main__":
    sys.exit(main())
