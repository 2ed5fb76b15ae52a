#!/usr/bin/env python3
"""Predicted against measured memory of llama-cpp-python, over the real model and synthetic ones.

    hack/bench/sizing            (makes an environment with gguf, then runs this; needs the image of hack/images)

One container a configuration loads the model, reads a prompt that fills the context, and says its RssAnon. Only what
the model adds is compared: the runtime's own memory is measured in the same process before the model is loaded. Ends
with 1 when a prediction is below what was measured, or too far above.
"""

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

from xnai_operator.memory.sizing import BASE, MI, Load, size
from xnai_operator.models.gguf import read_file

CHILD = """
import json, os, sys
def anon():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
import llama_cpp
o = json.loads(sys.argv[1])
before = anon()
kinds = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}
m = llama_cpp.Llama(o["path"], n_ctx=o["ctx"], n_threads=2, n_threads_batch=2, type_k=kinds[o["kv"]],
    type_v=kinds[o["kv"]], logits_all=False, swa_full=False, flash_attn=o["fa"], verbose=False)
tokens = [1 + i % 200 for i in range(o["ctx"] - 8)]
m.eval(tokens)
print(json.dumps({"before": before, "after": anon()}))
"""

IMAGE = "localhost/xnai-inference:0.1.0"

SHAPES = {
    # architecture, layers, width, feed forward, heads, kv heads, words
    "llama-small": ("llama", 8, 512, 1408, 8, 4, 32000),
    "llama-deep": ("llama", 24, 896, 2432, 14, 2, 32000),
    "qwen2": ("qwen2", 12, 768, 2048, 12, 2, 64000),
    "phi2-wide": ("llama", 6, 1024, 4096, 16, 16, 51200),
}


def synthesise(directory: Path, name: str, quantisation: str) -> Path:
    """A model of random weights."""
    import gguf
    import numpy as np

    path = directory / f"{name}-{quantisation}.gguf"
    if path.exists():
        return path
    arch, layers, width, forward, heads, kv_heads, words = SHAPES[name]
    writer = gguf.GGUFWriter(str(path) + ".new", arch)
    writer.add_context_length(32768)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("llama")
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{i:02X}>".encode() for i in range(256)]
    tokens += [f"w{i}".encode() for i in range(words - len(tokens))]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (words - 259)
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * words)
    writer.add_token_types(kinds)
    random = np.random.default_rng(0)
    kind = gguf.GGMLQuantizationType[quantisation]

    def add(tensor: str, rows: int, columns: int) -> None:
        data = (random.standard_normal((rows, columns), dtype=np.float32) * 0.02).astype(np.float32)
        if quantisation == "F16":
            writer.add_tensor(tensor, data.astype(np.float16))
        else:
            writer.add_tensor(tensor, gguf.quants.quantize(data, kind), raw_dtype=kind)

    head = width // heads
    add("token_embd.weight", words, width)
    add("output.weight", words, width)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for layer in range(layers):
        for tensor in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{tensor}.weight", np.ones(width, dtype=np.float32))
        add(f"blk.{layer}.attn_q.weight", width, width)
        add(f"blk.{layer}.attn_k.weight", kv_heads * head, width)
        add(f"blk.{layer}.attn_v.weight", kv_heads * head, width)
        add(f"blk.{layer}.attn_output.weight", width, width)
        add(f"blk.{layer}.ffn_gate.weight", forward, width)
        add(f"blk.{layer}.ffn_up.weight", forward, width)
        add(f"blk.{layer}.ffn_down.weight", width, forward)
        if arch == "qwen2":
            for tensor, rows in (("attn_q", width), ("attn_k", kv_heads * head), ("attn_v", kv_heads * head)):
                writer.add_tensor(f"blk.{layer}.{tensor}.bias", np.zeros(rows, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    Path(f"{path}.new").replace(path)
    return path


def main() -> int:
    models, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    real = models / "gemma-3-270m-q4_k_m.gguf"
    cases = [(real, *rest) for rest in itertools.product((512, 2048, 8192), ("f16", "q8_0"), (True,))]
    cases += [(real, ctx, "f16", False) for ctx in (512, 2048, 8192)]
    for name, quantisation in itertools.product(SHAPES, ("F16", "Q8_0", "Q4_0")):
        path = synthesise(scratch, name, quantisation)
        cases += [(path, 1024, "f16", True), (path, 4096, "q8_0", True)]
    cases += [(scratch / "llama-small-Q8_0.gguf", ctx, "f16", False) for ctx in (1024, 4096)]
    print(f"{'model':<32} {'ctx':>5} {'kv':>5} {'fa':>3} {'predicted':>10} {'measured':>9} {'ratio':>6}")
    bad = 0
    for path, context, kv, flash in cases:
        options = json.dumps({"path": f"/m/{path.name}", "ctx": context, "kv": kv, "fa": flash})
        command = ["podman", "run", "--rm", "--network=none", f"--volume={path.parent}:/m:ro", IMAGE]
        done = subprocess.run([*command, "python", "-c", CHILD, options], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{path.name:<32} {context:>5} {kv:>5} failed: {done.stderr.strip().splitlines()[-1]}")
            bad += 1
            continue
        measured = json.loads(done.stdout.strip().splitlines()[-1])
        load = replace(Load(), context=context, kv_type=kv, flash_attention=flash)
        predicted = size(read_file(path), load).anonymous - BASE[load.runtime]
        used = measured["after"] - measured["before"]
        most = max(used * (1.15 if flash else 1.30), used + 16 * MI)
        verdict = "" if used <= predicted <= most else ("  BELOW" if predicted < used else "  TOO FAR ABOVE")
        bad += bool(verdict)
        figures = f"{predicted / MI:>10.1f} {used / MI:>9.1f} {predicted / used:>6.2f}{verdict}"
        print(f"{path.name:<32} {context:>5} {kv:>5} {'on' if flash else 'off':>3} {figures}", flush=True)
    print(
        f"{len(cases)} configurations, {bad} outside the bar; runtime before a model: {measured['before'] / MI:.0f} MiB"
    )
    return 1 if bad else 0


sys.exit(main())
