"""What a router adds: ours beside sglang-router and litellm, in front of engines that cost nothing.

    python bench/router.py [CHECKPOINT] [--engines 2 8] [--routers 1 2]
                           [--step-ms 5 0]
                           [--sglang VENV/bin/python] [--litellm VENV/bin/python]

Starts everything on free ports of this machine, and ends it. Without a checkpoint, the demo
model's tokenizer and template. README.md says what the columns mean. Rounds interleave the targets;
only figures of one run compare.
"""

import argparse
import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

from engines import command
from rich.console import Console
from routers.cells import LONG, Cells, Load, burst_at, measure_round
from routers.tables import DIRECT, Result, show
from routers.targets import Engines, Target, engines, litellm, raylax, sglang

from raylax.cluster.models.lookup import demo_model
from raylax.proto.text.files import TextFiles

WORDS = " one of the people who made things of water and fire, and what they said of it then"
MODES = ("plain", "stream", "long")
WARM = (Load("plain", 4, 32), Load("stream", 4, 32))
WARM_S = 0.5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", help="of which the tokenizer and the template are used")
    add("--engines", type=int, nargs="+", default=[2, 8], help="a table for each number (2 8)")
    add("--routers", type=int, nargs="+", default=[1, 2], help="processes of ours (1 2)")
    add("--sglang", type=Path, help="the Python that has sglang-router")
    add("--litellm", type=Path, help="the Python that has litellm[proxy]")
    add("--modes", nargs="+", choices=MODES, default=MODES)
    add("--concurrency", type=int, nargs="+", default=[1, 16, 64, 256])
    add("--tokens", type=int, default=32, help="of each answer that is not long (32)")
    add(
        "--step-ms", type=float, nargs="+", default=[5, 0], metavar="MS",
        help="of the engines, a table for each; 0: as fast as they can (5 0)",
    )  # fmt: skip
    add("--seconds", type=float, default=1.0, help="of each burst (1)")
    add("--rounds", type=int, default=3)
    add("--lock", type=Path, metavar="FILE", help="held during each round, on a shared machine")
    add("--json", type=Path, metavar="FILE", help="write every figure there, too")
    return parser.parse_args()


@contextmanager
def locked(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def line_up(args: argparse.Namespace, checkpoint: Path, behind: Engines) -> Iterator[list[Target]]:
    """All are started first, and idle when it is not their turn."""
    with ExitStack() as stack:
        targets = [Target(DIRECT, behind.http, [])]
        for count in args.routers:
            targets.append(stack.enter_context(raylax(checkpoint, behind, count)))
        for python, start in ((args.sglang, sglang), (args.litellm, litellm)):
            if python is not None:
                targets.append(stack.enter_context(start(python, behind)))
        yield targets


def compare(args: argparse.Namespace, count: int, step_ms: float, console: Console) -> Result:
    checkpoint = (args.checkpoint or demo_model()).resolve()
    token_ids = TextFiles(checkpoint).tokenizer().encode(WORDS, add_special_tokens=False)
    loads = [
        Load(mode, clients, args.tokens)
        for mode in args.modes
        if mode != "long"
        for clients in args.concurrency
    ] + [LONG] * ("long" in args.modes)
    cells: Cells = {}
    with ExitStack() as stack, console.status(f"starting {count} engines") as status:
        behind = stack.enter_context(engines(count, step_ms, token_ids))
        targets = stack.enter_context(line_up(args, checkpoint, behind))
        for target in targets:
            for load in WARM:
                burst_at(target, load, WARM_S)
        for number in range(args.rounds):
            status.update(f"{count} engines: round {number + 1} of {args.rounds}")
            with locked(args.lock):
                measure_round(cells, targets, loads, args.seconds)
    return Result(count, step_ms, [target.name for target in targets], cells)


def run(args: argparse.Namespace) -> None:
    """Every table is shown, and written, as soon as it is known."""
    console, told = Console(), []
    for count, step_ms in product(args.engines, args.step_ms):
        result = compare(args, count, step_ms, console)
        show(console, result)
        told.append(result.as_json())
        if args.json:
            args.json.write_text(json.dumps(told, indent=1))


def main() -> None:
    args = arguments()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
