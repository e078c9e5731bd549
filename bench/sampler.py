"""What drawing costs, beside the decode step whose rows are drawn from.

    python bench/sampler.py [CHECKPOINT] [--quantization q0bf16 q4f32_1] [--rows 1 16] [--threads 2]

Without a checkpoint, the one of `bench/engine.py` without one. Tables for each quantization:
microseconds of all rows together, their share of the step, and how much more the definition in
numpy takes, row by row. Rows are drawn as an engine draws them, from logits of two kinds: with few
likely tokens, as trained models have them, and all about the same, as random weights make them.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from engines import command
from engines.models import default_checkpoint
from rich.console import Console
from rich.table import Table

from raylax.kernels.build import load_whole, sampler_for
from raylax.kernels.draws.definition import DrawRule, choose, key_of
from raylax.kernels.memory import aligned_zeros
from raylax.kernels.model import StepBatch
from raylax.kernels.options import ModelOptions
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.adjustment import Adjustment, Logits
from raylax.worker.sampling.constraints import Mask
from raylax.worker.sampling.rules import rule_of
from raylax.worker.sampling.sampler import Sampler, Wish

CONTEXT, ANSWER, PAGES = 64, 256, 8
WAYS = {
    "temperature": Sampling(),
    "top-k 40": Sampling(temperature=0.7, top_k=40),
    "min-p 0.05": Sampling(min_p=0.05),
    "top-p 0.9": Sampling(temperature=0.7, top_p=0.9),
    "top-k, top-p, min-p": Sampling(temperature=0.7, top_k=40, top_p=0.95, min_p=0.02),
    "top-p, penalties, mask": Sampling(
        temperature=0.7, top_p=0.9, repetition_penalty=1.1, presence_penalty=0.5
    ),
    "20 log-probabilities": Sampling(top_logprobs=20),
}
MASKED = "top-p, penalties, mask"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--quantization", nargs="+", default=["q0bf16", "q4f32_1"])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


def decode(rows: int) -> StepBatch:
    """A token of each of so many sequences, which have CONTEXT before it."""
    count = np.arange(rows, dtype=np.int32)
    table = count[:, None] * PAGES + np.arange(PAGES, dtype=np.int32)
    at = np.full(rows, CONTEXT, np.int32)
    slots = table[:, CONTEXT // 16] * 16 + CONTEXT % 16
    starts = np.arange(rows + 1, dtype=np.int32)
    return StepBatch(count + 1, at, slots, starts, at + 1, table, count)


def flat(rows: int, vocab: int) -> Logits:
    logits = aligned_zeros((rows, vocab), "float32")
    logits[:] = np.random.default_rng(0).normal(0, 0.6, (rows, vocab))
    return logits


def peaked(rows: int, vocab: int) -> Logits:
    """Thirty tokens that stand out of each row."""
    rng = np.random.default_rng(0)
    logits = aligned_zeros((rows, vocab), "float32")
    logits[:] = rng.normal(0, 2.5, (rows, vocab))
    for row in logits:
        row[rng.integers(0, vocab, 30)] += np.linspace(16, 4, 30, dtype=np.float32)
    return logits


def drawn(sampler: Sampler, logits: Logits, name: str, adjustment: Adjustment, mask: Mask) -> None:
    """All rows, as an engine asks for it."""
    request = Request("r", (1,), 999, WAYS[name])
    rule, given = rule_of(request), mask if name == MASKED else None
    top = request.sampling.top_logprobs
    wishes = [
        Wish(row, request, rule, ANSWER, adjustment.entries, given, top)
        for row in range(len(logits))
    ]
    sampler.draw(logits, wishes)


class Took(NamedTuple):
    """The least of some rounds, in microseconds: by the clock, and of all cores together. The
    second one is what shares are taken of: it knows less of what else a machine does."""

    clock: float
    cores: float


def least(work: Callable[[], object], rounds: int) -> Took:
    clock, cores = list[float](), list[float]()
    for _ in range(rounds):
        begun, spent = time.perf_counter(), time.process_time()
        work()
        cores.append(time.process_time() - spent)
        clock.append(time.perf_counter() - begun)
    return Took(min(clock) * 1e6, min(cores) * 1e6)


def by_definition(logits: Logits, sampling: Sampling) -> None:
    """One row; bias and penalties would be little beside that."""
    rule = DrawRule.of(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
    choose(logits, rule, key_of(sampling.seed, 0, ANSWER))


def table_of(title: str, step: Took, sampler: Sampler, rows: int, vocab: int, rounds: int) -> Table:
    table = Table(title=f"{title}: a decode step takes {step.clock / 1000:.1f} ms")
    for column in ("", "peaked", "of the step", "numpy", "flat", "of the step", "numpy"):
        table.add_column(column, justify="right" if column else "left")
    rng = np.random.default_rng(1)
    mask = rng.integers(-(2**31), 2**31, -(-vocab // 32)).astype(np.int32)
    said, kinds = rng.integers(0, vocab, CONTEXT + ANSWER).tolist(), (peaked, flat)
    for way, sampling in WAYS.items():
        adjustment = Adjustment(sampling, CONTEXT)
        adjustment.tell(said)
        cells = list[str]()
        for logits in [kind(rows, vocab) for kind in kinds]:
            took = least(partial(drawn, sampler, logits, way, adjustment, mask), rounds)
            plain = least(partial(by_definition, logits[0], sampling), 2)
            share, slower = took.cores / step.cores, plain.cores * rows / took.cores
            cells += [f"{took.clock:.0f} us", f"{share:.1%}", f"x {slower:.0f}"]
        table.add_row(way, *cells)
    return table


def run(args: argparse.Namespace) -> None:
    console, most = Console(width=max(100, Console().width)), max(args.rows)
    checkpoint = (args.checkpoint or default_checkpoint()).resolve()
    for name in args.quantization:
        options = ModelOptions(
            name, max_step_tokens=most, max_step_rows=most, max_sequence_length=16 * PAGES,
            threads=args.threads,
        )  # fmt: skip
        model = load_whole(checkpoint, options, most * PAGES)
        sampler = Sampler(sampler_for(options))
        for rows in args.rows:
            step = least(partial(model.step, decode(rows)), args.rounds)
            title = f"{name}, {rows} rows of {model.spec.vocab}"
            console.print(table_of(title, step, sampler, rows, model.spec.vocab, args.rounds))


if __name__ == "__main__":
    command.run(lambda: run(arguments()))
