"""What a form costs: answers in a JSON schema beside free ones, in turns, and their first tokens.

    python bench/structured.py CHECKPOINT [--concurrency 1 4 16] [--tokens 96] [--rounds 5]
                               [--quantization auto] [--mode ngram]

The checkpoint needs a tokenizer, as SmolLM2's GGUF has one. `tokens/s`: of so many answers at once,
behind their first tokens; the schema asks for a long list of objects, so that answers are as long
as free ones. `first token`: with no form, with a schema of 10 kB that nobody has asked for before,
and with one that is known. Ratios are medians of the rounds, each of which asks for both.
"""

import argparse
import json
import statistics
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.writing import grammar_of
from raylax.proto.vocabulary import Delta, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads

PROMPT = 64
PATIENCE_S = 600.0
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "married": {"type": "boolean"},
        "colours": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3},
    },
    "required": ["name", "age", "married", "colours"],
    "additionalProperties": False,
}
PEOPLE = {"type": "array", "items": PERSON, "minItems": 200}
NUMBERS = count()


def large_schema() -> dict[str, Any]:
    """Of 10 kB, and another one each time."""
    number = next(NUMBERS)
    names = [f"field_{number}_{i}" for i in range(100)]
    properties = {name: {"type": "string", "description": "x" * 50} for name in names}
    return {"type": "object", "properties": properties, "required": names}


class Asked:
    """An engine that is asked, and when its answers came."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._changed = threading.Condition()
        self._came: dict[str, list[float]] = {}
        self._open = set[str]()
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine("cpu", self._hear)
        self._threads = start_threads(self._engine)
        self._engine.reload(
            EngineConfig(
                model=str(args.checkpoint), mode="server", quantization=args.quantization,
                speculative_mode=args.mode, prefix_cache_mode="disable",
                max_num_sequence=max(args.concurrency),
                max_single_sequence_length=PROMPT + args.tokens,
            )
        )  # fmt: skip
        self._vocab = self._engine.vocab

    def close(self) -> None:
        self._engine.exit_background_loop()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _hear(self, deltas: list[Delta], load: Load) -> None:
        with self._changed:
            for delta in deltas:
                self._came[delta.request_id] += [time.perf_counter()] * len(delta.token_ids)
                if delta.finish is not None:
                    self._open.discard(delta.request_id)
            self._changed.notify_all()

    def times(self, number: int, tokens: int, grammar: str = "") -> tuple[float, float]:
        """Seconds until the first token of so many answers at once, and their tokens a second
        behind it."""
        ids = [f"asked {next(NUMBERS)}" for _ in range(number)]
        self._came, self._open = {id: [] for id in ids}, set(ids)
        begun = time.perf_counter()
        for at, id in enumerate(ids):
            prompt = tuple((7 * at + 13 * i) % (self._vocab - 100) + 50 for i in range(PROMPT))
            sampling = Sampling(temperature=1.0, seed=at, grammar=grammar)
            self._engine.add_request(Request(id, prompt, tokens, sampling))
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, PATIENCE_S):
                raise SystemExit("no answer")
        first = min(came[0] for came in self._came.values())
        last = max(came[-1] for came in self._came.values())
        made = sum(len(came) for came in self._came.values()) - number
        return first - begun, made / (last - first) if made else 0.0


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
    args = parser.parse_args()
    engine, console = Asked(args), Console()
    try:
        table = Table("at once", "free, tokens/s", "in the schema", "ratio", box=SIMPLE_HEAD)
        grammar = grammar_of(Constraint("json_schema", PEOPLE, "schema"))
        engine.times(1, 2, grammar)  # the vocabulary is read
        for number in args.concurrency:
            rounds = [
                (
                    engine.times(number, args.tokens)[1],
                    engine.times(number, args.tokens, grammar)[1],
                )
                for _ in range(args.rounds)
            ]
            free, formed = (statistics.median(one) for one in zip(*rounds, strict=True))
            ratio = statistics.median(b / a for a, b in rounds)
            table.add_row(str(number), f"{free:.1f}", f"{formed:.1f}", f"{ratio:.2f}")
        console.print(table)
        first = Table("first token", "ms", "more than without", box=SIMPLE_HEAD)
        without, cold, known = [], [], []
        for _ in range(args.rounds):
            grammar = grammar_of(Constraint("json_schema", large_schema(), "schema"))
            without.append(engine.times(1, 1)[0])
            cold.append(engine.times(1, 1, grammar)[0])
            known.append(engine.times(1, 1, grammar)[0])
        bare = statistics.median(without)
        for name, seconds in (("no form", without), ("10 kB, new", cold), ("10 kB, known", known)):
            median = statistics.median(seconds)
            first.add_row(name, f"{1e3 * median:.1f}", f"{1e3 * (median - bare):+.1f}")
        console.print(first)
        console.print(f"the schema of 10 kB: {len(json.dumps(large_schema()))} bytes")
    finally:
        engine.close()


if __name__ == "__main__":
    main()
