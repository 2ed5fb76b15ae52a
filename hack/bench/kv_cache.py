#!/usr/bin/env python3
"""The computed KV cache against the one that llama.cpp itself reserves, architecture by architecture.

    hack/bench/sizing --kv-cache [--only WORD]

Ends with 1 when a computed cache is not the reserved one, to the precision of llama.cpp's log (0.01 MiB a buffer).
"""

from pathlib import Path

from architectures import MAKERS, make
from synthetic import SHAPES, synthesise

from xnai_operator.api.quantity import MI
from xnai_operator.memory.model_size import ModelOptions, kv_cache
from xnai_operator.models.dry_run import DryRunError, dry_run
from xnai_operator.models.gguf import read_file

OPTIONS = (ModelOptions(4096), ModelOptions(16384, slots=2, kv_type="q8_0"))
PRECISION = 0.03 * MI


def compare(scratch: Path, only: str) -> int:
    """Prints the table; returns how many rows are wrong."""
    bad = rows = 0
    print(f"{'architecture':<18} {'ctx':>6} {'slots':>5} {'kv':>5} {'ours':>9} {'llama.cpp':>9} ratio")
    for name in (*MAKERS, *SHAPES):
        if only not in name:
            continue
        path = make(scratch, name) if name in MAKERS else synthesise(scratch, name, "Q8_0")
        for options in OPTIONS:
            head = f"{name:<18} {options.context:>6} {options.slots:>5} {options.kv_type:>5}"
            rows += 1
            try:
                reserved = dry_run(path, options)["KV cache"]
            except DryRunError as error:
                print(f"{head}  FAILED: {error}", flush=True)
                bad += 1
                continue
            ours = kv_cache(read_file(path), options)
            wrong = abs(ours - reserved) > PRECISION
            bad += wrong
            ratio = ours / reserved if reserved else float(ours == 0)
            print(f"{head} {ours / MI:>9.2f} {reserved / MI:>9.2f} {ratio:.3f}{'  WRONG' * wrong}", flush=True)
    print(f"{rows} configurations, {bad} wrong")
    return bad
