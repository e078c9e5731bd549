"""What sharing a model among ranks costs: shards of a thread each beside one rank of as many.

    python bench/tp.py [CHECKPOINT] [--quantization q0bf16 q4f32_1] [--shards 2] [--stages 1]

Rounds interleave the engines. Under each table: where the time of a step of the shards goes, as
the first rank sees it. `meet` is waiting for the other shards and adding what they bring, `plan`
is Python's part: deciding, sending the plan, sampling.
"""

import argparse
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from engines import command
from engines.base import ANSWER, PROMPT, Options, decode, prefill
from engines.models import default_checkpoint
from engines.raylax import raylax
from engines.rounds import measure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

CONTEXT = 32
MEETS = ("add_o", "add_down", "argmax")
"""Operators whose time begins with a meeting."""


def shares(step_s: float, operators: dict[str, float]) -> dict[str, float]:
    """Of a step: compute, meet, plan. The operators ran within it, however soon after the last
    token its own was heard of."""
    meet = sum(operators.get(name, 0.0) for name in MEETS)
    ran = sum(operators.values())
    whole = max(step_s, ran)
    return {"compute": (ran - meet) / whole, "meet": meet / whole, "plan": 1 - ran / whole}


def compare(args: argparse.Namespace, quantization: str, console: Console) -> dict[str, object]:
    ranks = args.shards * args.stages
    limits = (max(args.concurrency), PROMPT + ANSWER)
    one = Options(str(args.checkpoint), quantization, "auto", ranks, *limits)
    several = replace(one, threads=1, shards=args.shards, stages=args.stages)
    loads = [prefill(), *(decode(count, CONTEXT) for count in args.concurrency)]
    table = Table(
        "tok/s", f"1 x {ranks} threads", f"{ranks} ranks x 1", "ratio", "compute", "meet", "plan",
        title=f"{quantization}, {args.shards} shards, {args.stages} stages", box=SIMPLE_HEAD,
    )  # fmt: skip
    told = []
    with ExitStack() as stack, console.status("loading") as status:
        engines = [stack.enter_context(raylax(options)) for options in (one, several)]
        for load in loads:
            status.update(load.name)
            cells = measure(engines, load, args.rounds)
            alone, shared = (cell.tokens_per_s for cell in cells)
            parts = shares(**engines[1].call("last_step"))
            told.append({"load": load.name, "one": alone, "several": shared, **parts})
            percent = [f"{parts[name]:.1%}" for name in ("compute", "meet", "plan")]
            figures = [f"{alone:.0f}", f"{shared:.0f}", f"{shared / alone:.2f}"]
            table.add_row(load.name, *figures, *percent)
    console.print(table)
    return {"quantization": quantization, "rows": told}


def run(args: argparse.Namespace) -> None:
    told = [compare(args, name, Console()) for name in args.quantization]
    if args.json:
        args.json.write_text(json.dumps(told, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?")
    add("--quantization", nargs="+", default=["q0bf16", "q4f32_1"])
    add("--shards", type=int, default=2, help="that share each layer (2)")
    add("--stages", type=int, default=1, help="that share the layers among them (1)")
    add("--concurrency", type=int, nargs="+", default=[1, 8])
    add("--rounds", type=int, default=3)
    add("--json", type=Path, metavar="FILE", help="write every figure there, too")
    args = parser.parse_args()
    args.checkpoint = (args.checkpoint or default_checkpoint()).resolve()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
