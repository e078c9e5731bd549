"""What drafts bring, and what they cost where they are never right: an engine with them beside one
without, in turns.

    python bench/speculation.py [CHECKPOINT] [--text FILE] [--concurrency 1 4 16] [--rounds 3]
                                [--quantization auto] [--mode ngram] [--draft PATH] [--length 0]
                                [--draft-quantization auto] [--width 1] [--right 0 0.3 0.6 0.9]
                                [--llama build/bin [--llama-model FILE] [--llama-draft FILE]]

`quoted`: a part of the text, and its beginning once more, which a model that was trained goes on
quoting; greedy. `edited`: a chat about a text or JSON that is to be written again with a change, or
summed up in its own words, and `asked`: a question of a chat, both greedy and to their end, for
models that have a template. `own words`: the model's own, drawn at temperature 1. With `--right` drafts come from
whoever knows the answer, and are right as often as that. Answers are compared token by token.
Without a checkpoint it is one of random weights of the shape of Qwen2.5-0.5B, whose greedy answers
repeat themselves.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from drafts.engine import Engine
from drafts.llama import LlamaSpeculation
from drafts.loads import (
    AskedFor,
    Oracle,
    asking,
    chats,
    edits,
    ends_of,
    quoting,
    text_of,
    words_of,
)
from engines.base import PeerFailed
from engines.models import default_checkpoint
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from raylax.proto.vocabulary import Sampling

TEXT = Path(__file__).resolve().parents[1] / "worker" / "README.md"
FEWEST = 8
"""Prompts, of which several are asked one after the other where fewer are asked at once."""
LLAMA_DRAFTS = 8
"""Tokens of llama.cpp's drafts, where none are asked for."""


@contextmanager
def engines(checkpoint: Path, args: argparse.Namespace) -> Iterator[list[Engine]]:
    with ExitStack() as stack:
        both = []
        for mode in ("disable", args.mode):
            both.append(Engine(checkpoint, mode, args))
            stack.callback(both[-1].close)
        yield both


def loads(args: argparse.Namespace) -> Iterator[AskedFor]:
    """Each with prompts for the most at once."""
    most = max(FEWEST, *args.concurrency)
    text = text_of(args.checkpoint, args.text)
    quoted = quoting(text, most)
    greedy, drawn = Sampling(temperature=0.0), Sampling(temperature=1.0, seed=1)
    for right in args.right or ():
        yield AskedFor(f"{right:.0%} right", drawn, quoted, right=right)
    if not args.right:
        yield AskedFor("quoted", greedy, quoted)
        for name, asks in ("edited", edits(args.checkpoint, text, most)), ("asked", chats(most)):
            if prompts := asking(args.checkpoint, asks):
                yield AskedFor(name, greedy, prompts, ends_of(args.checkpoint))
        yield AskedFor("own words", drawn, quoted)


def run(args: argparse.Namespace) -> None:
    columns = ["load", "c", "without, tok/s", "with", "ratio", "right", "same tokens"]
    llama = None
    if args.llama is not None:
        files = args.llama_model or args.checkpoint, args.llama_draft
        llama = LlamaSpeculation(args.llama, *files, args.length or LLAMA_DRAFTS, args.threads)
        columns += [llama.name, "ratio"]
    table, console = Table(*columns, box=SIMPLE_HEAD), Console()
    with console.status("loading") as status, engines(args.checkpoint, args) as both:
        for load in loads(args):
            for count in args.concurrency:
                status.update(f"{load.name}, {count} at once")
                some = load.prompts[: max(count, FEWEST)]
                if args.right:
                    answers = both[0].run_all(load, some, count).said
                    both[1].ask(Oracle(some, answers, load.right))
                rounds = [
                    [one.run_all(load, some, count) for one in both] for _ in range(args.rounds)
                ]
                without, with_drafts = (
                    statistics.median(row[at].pace for row in rounds) for at in (0, 1)
                )
                right = statistics.median(row[1].right / (row[1].drafted or 1) for row in rounds)
                same = all(row[0].said == row[1].said for row in rounds)
                figures = [f"{without:.0f}", f"{with_drafts:.0f}", f"{with_drafts / without:.2f}"]
                figures += [f"{right:.0%}", "yes" if same else "NO"]
                if llama is not None and count == 1 and not load.sampling.temperature:
                    texts = [words_of(args.checkpoint, prompt) for prompt in some]
                    paces = [llama.pace(texts, bool(load.ends)) for _ in range(args.rounds)]
                    theirs = statistics.median(paces)
                    figures += [f"{theirs:.0f}", f"{with_drafts / theirs:.2f}"]
                table.add_row(load.name, str(count), *figures)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?")
    add("--text", type=Path, default=TEXT, help="what is quoted and edited (worker/README.md)")
    add("--concurrency", type=int, nargs="+", default=[1, 4, 16])
    add("--rounds", type=int, default=3)
    add("--quantization", default="auto")
    add("--threads", type=int)
    add("--mode", default="ngram", help="ngram, small_draft, eagle, medusa or self")
    add("--draft", help="what drafts, where the checkpoint does not bring it")
    add("--draft-quantization", default="auto", help="of what drafts")
    add("--length", type=int, default=0, help="tokens of a draft; 0: as many as pay")
    add("--width", type=int, default=1, help="tokens proposed for one position")
    add("--llama", type=Path, help="llama.cpp's build/bin: its own speculation, for one at a time")
    add("--llama-model", type=Path, help="the same model as a GGUF file, unless it is one")
    add("--llama-draft", type=Path, help="what drafts, as a GGUF file; else it looks up n-grams")
    add("--right", type=float, nargs="+", help="shares of drafts that an oracle gets right")
    args = parser.parse_args()
    args.checkpoint = args.checkpoint or default_checkpoint()
    try:
        run(args)
    except PeerFailed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()
