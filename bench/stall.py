"""What long prompts do to a stream beside them, and what sparing it costs: engines without a target
between two tokens (0: steps as full as they may be) and with one, in turns.

    python bench/stall.py [CHECKPOINT] [--chunks 128 512] [--beside 1 4] [--prompt 3500]
                          [--targets 0 auto] [--rounds 1] [--quantization auto] [--json FILE]

There are rows for each chunk size, load and target. `median`, `p99`, `most`: milliseconds between
two tokens of the stream, alone (quiet) or from the moment when the prompts come, all at once, until
the last one's first token; `times`: that p99 over the median of the quiet one. `first`: seconds
until a prompt's first token, the mean of all; `last`: until the last one's; `to 1st`: that over
what it is with the first target. Busy is an engine in which 16 requests are always there: tokens a
second, of prompts and answers, and `to 1st` what a token takes. Without a checkpoint it is one of
random weights of the shape of Qwen2.5-0.5B.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engines import command
from engines.models import default_checkpoint
from rich.console import Console
from stalls.engine import Beside, Setting, StallEngine
from stalls.report import Row, add, as_json, busy_row, new_table, row_of

from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError

QUIET = 200
"""Tokens of the stream with nobody beside it."""
WARM = 512
"""Tokens of a prompt before all that is measured, by which an engine learns its pace."""
ROOM = 16384
"""Tokens that fit in beside the prompts: the stream's, or those of a busy engine."""
Say = Callable[[str], None]


def rows(engines: list[StallEngine], args: argparse.Namespace, say: Say) -> Iterator[list[Row]]:
    """Of each load one of each engine; the quiet stream is the first load, a busy engine the last."""
    for engine in engines:
        say("warming up")
        engine.quiet(QUIET // 4)
        engine.beside(1, min(args.prompt, WARM))
    for prompts in (0, *args.beside):
        found: list[list[Beside]] = [[] for _ in engines]
        for number in range(args.rounds):
            for engine, rounds in zip(engines, found, strict=True):
                load = f"beside {prompts} prompts" if prompts else "quiet"
                target = engine.setting.target_ms
                say(f"target {target}, {load}, round {number + 1} of {args.rounds}")
                quiet = None if prompts else Beside(engine.quiet(QUIET), [])
                rounds.append(quiet or engine.beside(prompts, args.prompt))
        yield [row_of(e.setting, prompts, f) for e, f in zip(engines, found, strict=True)]
    paces: list[list[float]] = [[] for _ in engines]
    for number in range(args.rounds):
        for engine, pace in zip(engines, paces, strict=True):
            say(f"target {engine.setting.target_ms}, busy, round {number + 1} of {args.rounds}")
            pace.append(engine.busy())
    yield [busy_row(e.setting, pace) for e, pace in zip(engines, paces, strict=True)]


def run(args: argparse.Namespace) -> None:
    """The table is shown, and the file written, as far as they are known, chunk by chunk."""
    console, told = Console(), list[dict[str, Any]]()
    checkpoint = str((args.checkpoint or default_checkpoint()).resolve())
    for chunk in args.chunks:
        table = new_table()
        with console.status("loading") as status, ExitStack() as stack:
            engines = []
            for target in args.targets:
                status.update(f"chunk {chunk}: loading for target {target}")
                total = max(args.beside) * (args.prompt + 1) + ROOM
                setting = Setting(checkpoint, args.quantization, args.threads, chunk, target, total)
                engines.append(StallEngine(setting))
                stack.callback(engines[-1].close)
            quiet = list[Row]()

            def say(what: str, chunk: int = chunk) -> None:
                status.update(f"chunk {chunk}: {what}")

            for load in rows(engines, args, say):
                quiet = quiet or load
                for row, alone in zip(load, quiet, strict=True):
                    add(table, row, alone, load[0])
                    told.append(as_json(row, alone, load[0]))
        console.print(table)
        if args.json:
            args.json.write_text(json.dumps(told, indent=1))


def target(text: str) -> float | str:
    """As a configuration has it. Raises ArgumentTypeError, in a line."""
    try:
        value = text if text == "auto" else float(text)
        return EngineConfig(target_itl_ms=value).target_itl_ms  # type: ignore[arg-type]
    except (ValueError, ConfigError):
        raise argparse.ArgumentTypeError(
            f"must be auto, or a number of milliseconds, 0 or more, found {text}"
        ) from None


def count(text: str) -> int:
    """A number of something. Raises ArgumentTypeError, in a line."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, found {text}")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?")
    add("--chunks", type=count, nargs="+", default=[128, 512], help="most tokens in a step")
    add("--beside", type=count, nargs="+", default=[1, 4], help="long prompts that come at once")
    add("--prompt", type=count, default=3500, help="tokens of each of them")
    add("--targets", type=target, nargs="+", default=[0.0, "auto"], help="target_itl_ms")
    add("--rounds", type=count, default=1)
    add("--quantization", default="auto")
    add("--threads", type=int)
    add("--json", type=Path, metavar="FILE", help="write every figure there, too")
    args = parser.parse_args()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
