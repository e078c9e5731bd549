"""Where a step's time goes: each operator's time a layer, and how near it comes to the machine.

    python bench/operators.py [CHECKPOINT] [--quantization q0bf16 q4f32_1] [--tokens 512]

One step is repeated: --sequences with --tokens new tokens each, behind --context older ones. A row is
the median over --steps. GB/s are of the operator's weights, G operations/s of its products alone.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from engines.models import default_checkpoint
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.errors import KernelsError
from raylax.kernels.model import StepBatch
from raylax.kernels.options import PAGE_SIZE, ModelOptions, use_threads
from raylax.kernels.spec import DecoderSpec


def step_of(sequences: int, tokens: int, context: int) -> StepBatch:
    """A step of which all tokens are alike."""
    length = context + tokens
    pages = -(-length // PAGE_SIZE)
    table = np.arange(sequences * pages, dtype=np.int32).reshape(sequences, pages)
    positions = np.tile(np.arange(context, length, dtype=np.int32), sequences)
    of = np.repeat(np.arange(sequences), tokens)
    starts = np.arange(sequences + 1, dtype=np.int32) * tokens
    return StepBatch(
        np.full(len(of), 5, np.int32),
        positions,
        table[of, positions // PAGE_SIZE] * PAGE_SIZE + positions % PAGE_SIZE,
        starts,
        np.full(sequences, length, np.int32),
        table,
        starts[1:] - 1,
    )


def weights_of(spec: DecoderSpec) -> dict[str, int]:
    """Numbers in an operator's matrix: of a layer, or of the head."""
    return {
        "qkv": spec.qkv_rows * spec.hidden,
        "o": spec.hidden * spec.heads * spec.head_dim,
        "gate_up": 2 * spec.intermediate * spec.hidden,
        "down": spec.hidden * spec.intermediate,
        "head": spec.padded_vocab * spec.hidden,
    }


def measure(model: CpuModel, batch: StepBatch, steps: int) -> tuple[float, dict[str, float]]:
    """Seconds of a step, and of each operator in it; medians."""
    model.step(batch)
    whole, parts = [], []
    for _ in range(steps):
        begun = time.perf_counter()
        model.step(batch)
        whole.append(time.perf_counter() - begun)
        parts.append(model.seconds_by_operator())
    medians = {name: statistics.median(part[name] for part in parts) for name in parts[0]}
    return statistics.median(whole), medians


def table_of(model: CpuModel, batch: StepBatch, steps: int) -> Table:
    seconds, operators = measure(model, batch, steps)
    spec, tokens, rows = model.spec, len(batch.tokens), len(batch.rows)
    matrices, layers = weights_of(spec), spec.layers
    title = f"{model.quantization}, KV {model.kv_dtype}: {seconds * 1e3:.2f} ms a step of {tokens}"
    title += f" tokens, {tokens / seconds:.0f} tokens/s"
    columns = ("operator", "us", "share %", "GB/s", "G operations/s")
    table = Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD)
    for name, time_s in operators.items():
        times = 1 if name in ("embed", "norm_f", "head", "argmax") else layers
        cells = [name, f"{time_s / times * 1e6:.1f}", f"{time_s / seconds * 100:.1f}"]
        if name in matrices:
            products = 2 * matrices[name] * (rows if name == "head" else tokens)
            weight = "w_embed" if name == "head" and spec.tied_embeddings else f"w_{name}"
            cells.append(f"{model.weight_bytes(weight) / time_s / 1e9:.1f}")
            cells.append(f"{products * times / time_s / 1e9:.0f}")
        table.add_row(*cells)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--quantization", nargs="+", default=["q0bf16"])
    parser.add_argument("--kv-dtype", default="auto")
    parser.add_argument("--tokens", type=int, default=512, help="new in each sequence (512)")
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--context", type=int, default=0, help="older tokens of each (0)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    checkpoint = args.checkpoint or default_checkpoint()
    batch = step_of(args.sequences, args.tokens, args.context)
    use_threads(args.threads)
    options = {
        "threads": args.threads,
        "max_step_tokens": len(batch.tokens),
        "max_step_rows": args.sequences,
        "max_sequence_length": args.context + args.tokens,
    }
    for name in args.quantization:
        try:
            wanted = ModelOptions(name, args.kv_dtype, **options)
            model = load_model(checkpoint, wanted, batch.page_table.size)
        except KernelsError as error:
            sys.exit(str(error))
        Console().print(table_of(model, batch, args.steps))


if __name__ == "__main__":
    main()
