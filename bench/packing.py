"""How long weights take to become those of a format, without the reading of files.

    python bench/packing.py [--rows 8192] [--columns 4096] [--threads 2] [--rounds 3]

Nanoseconds a weight, the least of --rounds: of one core, and of all threads by the clock, which
a busy machine makes longer. Weights are normal random numbers, of 16 bits where the format keeps
those. What is compiled for it was made before.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.cpu import packing
from raylax.kernels.cpu.formats import NAMES, quantization_named
from raylax.kernels.cpu.target import cpu
from raylax.kernels.cuda.formats import NAMES as ON_GPUS
from raylax.kernels.cuda.formats import quantization_named as on_gpu
from raylax.kernels.cuda.formats.base import DTYPES
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.parallel import in_threads
from raylax.kernels.shards import PANEL

Array = npt.NDArray[Any]
Pack = Callable[[Array, int], object]


class Job(NamedTuple):
    """How a format packs a matrix, with so many threads, and of which type its numbers are."""

    pack: Pack
    dtype: str


def jobs() -> dict[str, Job]:
    """By the names of formats."""
    found = {}
    for name in NAMES:
        layers = quantization_named(name, "float32", cpu()).formats["w_qkv"]
        dtype = {"float16": "float16", "bfloat16": "uint16"}.get(layers.keeps or "", "float32")
        found[name] = Job(in_pieces(layers.pack), dtype)
    for name in ON_GPUS:
        layers_there = on_gpu(name, "float16").layers
        dense = isinstance(layers_there, Dense)
        dtype = DTYPES[layers_there.precision] if dense else "float32"
        found[f"{name} of a GPU"] = Job(layers_there.pack, dtype)
    return found


def in_pieces(pack: Callable[[Array], object]) -> Pack:
    """As weights are packed for a store."""

    def run(weight: Array, threads: int) -> None:
        step = max(1, packing.AT_ONCE // weight.shape[1] // PANEL) * PANEL
        parts = (weight[first : first + step] for first in range(0, len(weight), step))
        in_threads(pack, parts, threads, lambda _: None)

    return run


def measured(job: Job, weight: Array, threads: int, rounds: int) -> tuple[float, float]:
    """Seconds of one core, by one thread; and of the clock, by all."""
    job.pack(weight[:PANEL], 1)
    of_cores, of_clocks = [], []
    for _ in range(rounds):
        begun = time.process_time()
        job.pack(weight, 1)
        of_cores.append(time.process_time() - begun)
        begun = time.perf_counter()
        job.pack(weight, threads)
        of_clocks.append(time.perf_counter() - begun)
    return min(of_cores), min(of_clocks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--columns", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.rows % PANEL or args.columns % 128 or min(vars(args).values()) < 1:
        parser.error("rows must be a multiple of 32, columns of 128, the others at least 1")
    numbers = np.random.default_rng(0).standard_normal((args.rows, args.columns), np.float32)
    table = Table("format", "ns of a core", f"ns, {args.threads} threads")
    for name, job in jobs().items():
        weight = to_bf16(numbers) if job.dtype == "uint16" else numbers.astype(job.dtype)
        took = measured(job, weight, args.threads, args.rounds)
        table.add_row(name, *(f"{seconds / weight.size * 1e9:.2f}" for seconds in took))
    Console().print(table)


if __name__ == "__main__":
    main()
