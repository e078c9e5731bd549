"""Speed of the engine, beside llama.cpp where it is installed: one command, one table.

    python bench/engine.py [CHECKPOINT] [--quantization q0bf16 q8f32_0 q4f32_1]
                           [--llama PATH/llama-batched-bench --gguf BF16 Q8_0 Q4_0]

Without a checkpoint, one of the Qwen2.5-0.5B shape with random weights is made once and kept.
Decode: sequences that all begin with --context tokens, tokens per second over all of them after the
first one. Prefill: one prompt of 512 tokens, over the time to its first token. Rounds interleave the
engines; figures are medians, and only figures of one run compare.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from raylax.kernels.store import default_root
from raylax.proto.vocabulary import Delta, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine import ThreadedEngine

PROMPT, ANSWER = 512, 128
PATIENCE_S = 300.0


class Raylax:
    """The threaded engine, without HTTP and router. Idle between its turns."""

    def __init__(
        self, checkpoint: Path, quantization: str, kv_dtype: str, threads: int, context: int
    ) -> None:
        self.name = f"raylax {quantization}" + (f", KV {kv_dtype}" if kv_dtype != "auto" else "")
        self._context = context
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine("cpu", self._hear)
        loops = (self._engine.run_background_loop, self._engine.run_background_stream_back_loop)
        for loop in loops:
            threading.Thread(target=loop, daemon=True).start()
        config = EngineConfig(
            model=str(checkpoint), mode="server", quantization=quantization, threads=threads,
            max_num_sequence=16, max_single_sequence_length=max(1024, context + ANSWER),
            kv_dtype=kv_dtype, prefix_cache_mode="disable",
        )  # fmt: skip
        self._engine.reload(config)
        self._rng = np.random.default_rng(0)
        self._changed = threading.Condition()
        self._times: dict[str, list[float]] = {}
        self._ended: set[str] = set()

    def _hear(self, deltas: list[Delta], load: Load) -> None:
        now = time.perf_counter()
        with self._changed:
            for delta in deltas:
                self._times[delta.request_id] += [now] * len(delta.token_ids)
                if delta.finish is not None:
                    self._ended.add(delta.request_id)
            self._changed.notify_all()

    def _run(self, count: int, prompt: int, answer: int) -> tuple[float, dict[str, list[float]]]:
        """When they were submitted, and when each token came."""
        names = [f"{time.monotonic_ns()}-{i}" for i in range(count)]
        self._times, self._ended = {name: [] for name in names}, set()
        begun = time.perf_counter()
        for name in names:
            tokens = tuple(self._rng.integers(1, 1000, prompt).tolist())
            self._engine.add_request(Request(name, tokens, answer, Sampling(temperature=0.0)))
        with self._changed:
            done = self._changed.wait_for(lambda: len(self._ended) == count, PATIENCE_S)
        if not done:
            sys.exit(f"{self.name}: no answer within {PATIENCE_S} s")
        return begun, self._times

    def prefill(self) -> float:
        begun, times = self._run(1, PROMPT, 1)
        return PROMPT / (next(iter(times.values()))[0] - begun)

    def decode(self, count: int) -> float:
        _, times = self._run(count, self._context, ANSWER)
        first = max(moments[0] for moments in times.values())
        after = [moment for moments in times.values() for moment in moments if moment > first]
        return len(after) / (max(after) - first)


class LlamaCpp:
    """llama-batched-bench, a process for each measurement."""

    def __init__(self, binary: Path, model: Path, threads: int, context: int) -> None:
        self._context = context
        self.name = f"llama.cpp {model.stem}"
        self._binary, self._model, self._threads = binary, model, threads

    def _run(self, prompt: int, answer: int, count: int) -> dict[str, float]:
        options = {
            "-m": self._model, "-t": self._threads, "-tb": self._threads, "-b": 2048, "-ub": 512,
            "-c": count * (prompt + answer) + 64, "-npp": prompt, "-ntg": answer, "-npl": count,
        }  # fmt: skip
        command = [str(part) for pair in options.items() for part in pair]
        done = subprocess.run(
            [self._binary, *command, "--output-format", "jsonl"], capture_output=True, text=True
        )
        lines = re.findall(r"^\{.*\}$", done.stdout, re.M)
        if done.returncode or not lines:
            sys.exit(f"{self._binary} failed: {done.stderr[-400:]}")
        return dict(json.loads(lines[-1]))

    def prefill(self) -> float:
        return self._run(PROMPT, 1, 1)["speed_pp"]

    def decode(self, count: int) -> float:
        return self._run(self._context, ANSWER, count)["speed_tg"]


def default_checkpoint() -> Path:
    path = default_root() / "bench" / "qwen2.5-0.5b"
    if not (path / "model.safetensors").exists():
        maker = Path(__file__).parent / "checkpoint.py"
        print(f"making a checkpoint of random weights in {path}", file=sys.stderr)
        subprocess.run([sys.executable, maker, path, "--shape", "qwen2.5-0.5b"], check=True)
    return path


def bf16_gguf(checkpoint: Path) -> Path:
    path = Path(tempfile.mkdtemp()) / "bf16.gguf"
    maker = Path(__file__).parent / "gguf_file.py"
    subprocess.run([sys.executable, maker, checkpoint, path], check=True)
    return path


def measure(engines: list[Raylax | LlamaCpp], rounds: int, concurrency: list[int]) -> None:
    rows: dict[str, Callable[[Raylax | LlamaCpp], float]] = {
        f"prefill {PROMPT}": lambda engine: engine.prefill(),
        **{
            f"decode c={count}": lambda engine, count=count: engine.decode(count)
            for count in concurrency
        },
    }
    console = Console()
    table = Table("tok/s", *[engine.name for engine in engines], "ratio")
    with console.status("measuring"):
        for name, run in rows.items():
            runs = [[run(engine) for engine in engines] for _ in range(rounds)]
            medians = [statistics.median(column) for column in zip(*runs, strict=True)]
            ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) > 1 else ""
            table.add_row(name, *[f"{value:.0f}" for value in medians], ratio)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--quantization", nargs="+", default=["q0bf16"])
    parser.add_argument("--kv-dtype", default="auto", help="of raylax: f32, bf16 or int8")
    parser.add_argument("--context", type=int, default=32, help="tokens before decoding (32)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--llama", type=Path, help="llama-batched-bench")
    parser.add_argument(
        "--gguf", type=Path, nargs="+", help="the same weights for each quantization, in order"
    )
    args = parser.parse_args()
    checkpoint = args.checkpoint or default_checkpoint()
    files = args.gguf or ([bf16_gguf(checkpoint)] if args.llama else [])
    for name, gguf in zip_longest(args.quantization, files[: len(args.quantization)]):
        engines: list[Raylax | LlamaCpp] = [
            Raylax(checkpoint, name, args.kv_dtype, args.threads, args.context)
        ]
        if args.llama and gguf:
            engines.append(LlamaCpp(args.llama, gguf, args.threads, args.context))
        measure(engines, args.rounds, args.concurrency)


if __name__ == "__main__":
    main()
