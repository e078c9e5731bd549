"""What a form costs: answers in a JSON schema beside free ones, in turns, their first tokens, and
what others notice of a hostile form.

    python bench/structured.py CHECKPOINT [--concurrency 1 4 16] [--tokens 96] [--rounds 5]
                               [--quantization auto] [--mode ngram] [--only PART ...]
                               [--llama-cpp LLAMA_COMPLETION]

The checkpoint needs a tokenizer, as SmolLM2's GGUF has one. `speed`: of so many answers at once,
behind their first tokens; the schema asks for a long list of objects, so that answers are as long
as free ones. `first`: the first token with no form, with a schema of 10 kB that nobody has asked
for before, and with one that is known. `beside`: the time between the tokens of four free streams,
beside which twice a second somebody asks for 8 tokens, in no form, in that of a schema, and in
forms that cost what the limits of grammars let them, each a new one. `--llama-cpp`: its speed on
the same file, which is GGUF then, with and without the schema. Ratios are medians of the rounds,
each of which asks for all.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path

from forms.asked import Asked, percentile
from forms.hostile import HOSTILE
from forms.llama_cpp import tokens_a_second
from forms.schemas import PEOPLE, large_schema
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.writing import grammar_of

STREAMS, GUESTS, GUESTS_EVERY_S, GUEST_TOKENS = 4, 32, 0.5, 8
"""There are no more guests than are made beforehand: in a cluster another process makes them."""
GRAMMAR = grammar_of(Constraint("json_schema", PEOPLE, "schema"))


def speed(engine: Asked, args: argparse.Namespace) -> Table:
    table = Table("at once", "free, tokens/s", "in the schema", "ratio", box=SIMPLE_HEAD)
    for number in args.concurrency:
        rounds = [
            (engine.times(number, args.tokens)[1], engine.times(number, args.tokens, GRAMMAR)[1])
            for _ in range(args.rounds)
        ]
        table.add_row(str(number), *ratio_of(rounds))
    return table


def ratio_of(rounds: list[tuple[float, float]]) -> list[str]:
    """Free, in a form, and the second by the first."""
    free, formed = (statistics.median(one) for one in zip(*rounds, strict=True))
    return [f"{free:.1f}", f"{formed:.1f}", f"{statistics.median(b / a for a, b in rounds):.2f}"]


def first(engine: Asked, args: argparse.Namespace) -> Table:
    table = Table("first token", "ms", "more than without", box=SIMPLE_HEAD)
    without, cold, known = [], [], []
    for _ in range(args.rounds):
        grammar = grammar_of(Constraint("json_schema", large_schema(), "schema"))
        without.append(engine.times(1, 1)[0])
        cold.append(engine.times(1, 1, grammar)[0])
        known.append(engine.times(1, 1, grammar)[0])
    bare, size = statistics.median(without), len(json.dumps(large_schema()))
    rows = ("no form", without), (f"{size} bytes, new", cold), (f"{size} bytes, known", known)
    for name, seconds in rows:
        median = statistics.median(seconds)
        table.add_row(name, f"{1e3 * median:.1f}", f"{1e3 * (median - bare):+.1f}")
    return table


def beside(engine: Asked, args: argparse.Namespace) -> Table:
    table = Table("beside", "p50, ms", "p99, ms", "p99 by that of no form", box=SIMPLE_HEAD)
    guests: dict[str, Callable[[], str]] = {
        "no form": lambda: "", "the schema": lambda: GRAMMAR, **HOSTILE
    }  # fmt: skip
    gaps: dict[str, list[list[float]]] = {name: [] for name in guests}
    for _ in range(args.rounds):
        for name, guest in guests.items():
            forms = [guest() for _ in range(GUESTS)]
            gaps[name].append(
                engine.gaps_beside(STREAMS, args.tokens, forms, GUESTS_EVERY_S, GUEST_TOKENS)
            )
    free = [percentile(one, 0.99) for one in gaps["no form"]]
    for name, rounds in gaps.items():
        p50, p99 = ([percentile(one, share) for one in rounds] for share in (0.5, 0.99))
        ratio = statistics.median(b / a for a, b in zip(free, p99, strict=True))
        row = (f"{1e3 * statistics.median(one):.1f}" for one in (p50, p99))
        table.add_row(name, *row, f"{ratio:.2f}")
    return table


def llama_cpp(engine: Asked, args: argparse.Namespace) -> Table:
    threads = len(os.sched_getaffinity(0))
    table = Table("one answer", "free, tokens/s", "in the schema", "ratio", box=SIMPLE_HEAD)
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append((engine.times(1, args.tokens)[1], engine.times(1, args.tokens, GRAMMAR)[1]))
        theirs.append(
            tuple(
                tokens_a_second(args.llama_cpp, args.checkpoint, args.tokens, threads, schema)
                for schema in (None, PEOPLE)
            )
        )
    table.add_row("raylax", *ratio_of(ours))
    table.add_row("llama.cpp", *ratio_of(theirs))
    formed = statistics.median(a[1] / b[1] for a, b in zip(ours, theirs, strict=True))
    free = statistics.median(a[0] / b[0] for a, b in zip(ours, theirs, strict=True))
    table.add_row("raylax by llama.cpp", f"{free:.2f}", f"{formed:.2f}")
    return table


PARTS = {"speed": speed, "first": first, "beside": beside}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tokens", type=int, default=96, help="of an answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quantization", default="auto")
    parser.add_argument("--mode", default="ngram", help="of drafts")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="parts")
    parser.add_argument("--llama-cpp", type=Path, help="llama-completion")
    args = parser.parse_args()
    most = max(*args.concurrency, STREAMS + 1)
    engine = Asked(args.checkpoint, args.quantization, args.mode, most, args.tokens)
    try:
        engine.times(1, 2, GRAMMAR)  # the vocabulary is read
        for part in (
            *(PARTS[name] for name in args.only),
            *([llama_cpp] if args.llama_cpp else []),
        ):
            Console().print(part(engine, args))
    finally:
        engine.close()


if __name__ == "__main__":
    main()
