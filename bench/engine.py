"""Speed of the engine, beside llama.cpp and OpenVINO where they are, and against the machine.

    python bench/engine.py [CHECKPOINT] [--quantization q0bf16 q8f32_0 q4f32_1]
                           [--llama PATH/llama-batched-bench --gguf BF16 Q8_0 Q4_0]
                           [--openvino-python VENV/bin/python --openvino FP16 INT8 INT4] [--served]
    python bench/engine.py --gguf FILE … [--llama PATH/llama-batched-bench] [--quantization auto]

Without a checkpoint, one of the Qwen2.5-0.5B shape with random weights is made once and kept; with
GGUF files alone, each of them is measured, in both engines.
A table for each quantization; README.md says what its rows and columns mean. Rounds interleave the
engines; figures are medians, and only figures of one run compare.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any

from engines import command
from engines.base import (
    ANSWER,
    KV_DTYPES,
    PROMPT,
    Engine,
    Load,
    Options,
    decode,
    prefill,
)
from engines.child import EngineChild
from engines.llama_cpp import LlamaCpp
from engines.machine import Roofline
from engines.models import bf16_gguf, default_checkpoint
from engines.openvino import openvino
from engines.raylax import raylax
from engines.report import Result, Row, show
from engines.rounds import kept, measure
from engines.served import Served
from engines.work import Work
from rich.console import Console


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?")
    add("--quantization", nargs="+", help="of raylax (q0bf16; auto, of a GGUF alone)")
    add("--kv-dtype", default="auto", choices=KV_DTYPES, help="of raylax")
    add("--context", type=int, default=32, help="tokens before decoding (32)")
    add("--threads", type=int, default=2, help="of every engine (2)")
    add("--rounds", type=int, default=3)
    add("--concurrency", type=int, nargs="+", default=[1, 4, 8, 16])
    add("--llama", type=Path, help="llama-batched-bench")
    add(
        "--gguf",
        type=Path,
        nargs="+",
        help="the checkpoint's for each quantization, in order; without a checkpoint: what is measured",
    )
    add("--openvino-python", type=Path, help="the Python that has openvino-genai")
    add("--openvino", type=Path, nargs="+", help="a directory for each quantization, in order")
    add("--served", action="store_true", help="also as `raylax serve`, asked over HTTP")
    add(
        "--rival",
        action="store_true",
        help="also measure beside a process that keeps one core busy",
    )
    add("--json", type=Path, metavar="FILE", help="write every figure there, too")
    args = parser.parse_args()
    alone = args.gguf and not args.checkpoint
    args.quantization = args.quantization or ["auto" if alone else "q0bf16"]
    if args.gguf and not alone and not args.llama:
        parser.error("--gguf needs --llama, the path of llama-batched-bench")
    if alone and args.openvino:
        parser.error("--openvino needs a checkpoint beside --gguf")
    if bool(args.openvino) != bool(args.openvino_python):
        parser.error("--openvino and --openvino-python need each other")
    for name in ("openvino",) if alone else ("gguf", "openvino"):
        given = getattr(args, name) or []
        if len(given) > len(args.quantization):
            count = len(args.quantization)
            parser.error(f"--{name} names {len(given)} models for {count} quantization(s)")
    return args


def line_ups(
    args: argparse.Namespace, directory: Path
) -> Iterator[tuple[EngineChild, list[Engine]]]:
    """For each quantization raylax and its peers, not yet loaded."""
    if args.gguf and not args.checkpoint:
        yield from same_files(args)
        return
    checkpoint = (args.checkpoint or default_checkpoint()).resolve()
    files = args.gguf or ([bf16_gguf(checkpoint, directory)] if args.llama else [])
    limits = limits_of(args)
    for name, gguf, converted in zip_longest(args.quantization, files, args.openvino or []):
        peers: list[Engine] = []
        if gguf:
            peers.append(LlamaCpp(args.llama, gguf, args.threads))
        if converted:
            options = Options(str(converted.resolve()), name, *limits)
            peers.append(openvino(args.openvino_python, options))
        yield beside(args, Options(str(checkpoint), name, *limits), peers)


def same_files(args: argparse.Namespace) -> Iterator[tuple[EngineChild, list[Engine]]]:
    """Both engines on each GGUF."""
    for file in args.gguf:
        for name in args.quantization:
            peers: list[Engine] = []
            if args.llama:
                peers.append(LlamaCpp(args.llama, file, args.threads))
            yield beside(args, Options(str(file.absolute()), name, *limits_of(args)), peers)


def beside(
    args: argparse.Namespace, options: Options, peers: list[Engine]
) -> tuple[EngineChild, list[Engine]]:
    """Raylax's engine, and its peers; the last one is itself as people have it."""
    return raylax(options), [*peers, Served(options)] if args.served else peers


def limits_of(args: argparse.Namespace) -> tuple[Any, int, int, int]:
    """What raylax and OpenVINO are told of keys and values, threads, sequences and their length."""
    return args.kv_dtype, args.threads, max(args.concurrency), max(PROMPT, args.context) + ANSWER


def compare(
    ours: EngineChild,
    peers: list[Engine],
    machine: Roofline,
    args: argparse.Namespace,
    console: Console,
) -> Result:
    """Load all, then let them take turns. The machine's limits are taken before and after."""
    engines, rows = [ours, *peers], []
    loads = [prefill(), *(decode(count, args.context) for count in args.concurrency)]
    with ExitStack() as stack, console.status("loading") as status:
        for engine in engines:
            status.update(f"loading {engine.name}")
            stack.enter_context(engine)
        limits = machine.measure()
        for load in loads:
            status.update(f"{ours.name} and its peers: {load.name}")
            rows.append(row_of(engines, load, args))
        limits = limits.or_better(machine.measure())
    return Result([one.name for one in engines], Work(**ours.facts["work"]), limits, rows)


def row_of(engines: list[Engine], load: Load, args: argparse.Namespace) -> Row:
    return Row(load, measure(engines, load, args.rounds), kept(engines, load) if args.rival else [])


def run(args: argparse.Namespace) -> None:
    """Every table is shown, and written, as soon as it is known."""
    console, told = Console(), []
    with tempfile.TemporaryDirectory() as directory:
        machine = Roofline(args.threads, Path(directory))
        for ours, peers in line_ups(args, Path(directory)):
            result = compare(ours, peers, machine, args, console)
            show(console, result)
            told.append(result.as_json())
            if args.json:
                args.json.write_text(json.dumps(settings(args) | {"results": told}, indent=1))


def settings(args: argparse.Namespace) -> dict[str, Any]:
    names = ("threads", "rounds", "context", "kv_dtype", "concurrency")
    return {name: getattr(args, name) for name in names}


def main() -> None:
    args = arguments()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
