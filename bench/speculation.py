"""What drafts bring, and what they cost where they are never right: an engine with them beside one
without, in turns.

    python bench/speculation.py [CHECKPOINT] [--text FILE] [--concurrency 1 4 16] [--rounds 3]
                                [--quantization auto] [--mode ngram] [--draft PATH] [--length 0]
                                [--draft-quantization auto] [--width 1] [--right 0 0.3 0.6 0.9]

`quoted`: a part of the text, and its beginning once more, which a model that was trained goes on
quoting; greedy. `asked`: a question of a chat, greedy, for models that have a template. `own
words`: the model's own, drawn at temperature 1. With `--right` drafts come from whoever knows the
answer, and are right as often as that. Answers are compared token by token. Without a checkpoint it
is one of random weights of the shape of Qwen2.5-0.5B, whose greedy answers repeat themselves.
"""

import argparse
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engines.models import default_checkpoint
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.speculation.proposals import Proposal, Speculation, worth

PROMPT, QUOTED, ANSWER = 384, 12, 128
TEXT = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"
PATIENCE_S = 600.0


class Engine:
    """One that is loaded, and how long its answers take."""

    def __init__(self, checkpoint: Path, mode: Any, args: argparse.Namespace) -> None:
        self._changed = threading.Condition()
        self._said: dict[str, list[int]] = {}
        self._first: dict[str, float] = {}
        self._open: set[str] = set()
        self._load = Load()
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine("cpu", self._hear)
        self._threads = start_threads(self._engine)
        self._engine.reload(
            EngineConfig(
                model=str(checkpoint), mode="server", quantization=args.quantization,
                speculative_mode=mode, prefix_cache_mode="disable", threads=args.threads,
                additional_models=(args.draft,) if args.draft and mode != "disable" else (),
                spec_draft_length=args.length, spec_draft_quantization=args.draft_quantization,
                spec_tree_width=args.width if args.draft else 1,
                max_num_sequence=max(args.concurrency), max_single_sequence_length=PROMPT + ANSWER,
            )
        )  # fmt: skip

    def close(self) -> None:
        self._engine.exit_background_loop()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def ask(self, oracle: "Oracle") -> None:
        """Drafts come from it from now on."""
        self._engine._slot.loaded().batch.proposer = Lookup(oracle)

    def _hear(self, deltas: list[Delta], load: Load) -> None:
        with self._changed:
            self._load = load
            for delta in deltas:
                self._first.setdefault(delta.request_id, time.perf_counter())
                self._said[delta.request_id] += delta.token_ids
                if delta.finish is not None:
                    self._open.discard(delta.request_id)
            self._changed.notify_all()

    def run(self, prompts: list[list[int]], sampling: Sampling) -> tuple[float, float, list[Any]]:
        """Tokens a second behind the first ones, the share of drafts that was right, the tokens."""
        ids = [f"r{time.monotonic_ns()}.{i}" for i in range(len(prompts))]
        self._said, self._first, self._open = {id: [] for id in ids}, {}, set(ids)
        before = self._load
        for id, prompt in zip(ids, prompts, strict=True):
            self._engine.add_request(Request(id, tuple(prompt), ANSWER, sampling))
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, PATIENCE_S):
                raise TimeoutError(f"no answer within {PATIENCE_S:.0f} s")
        took = time.perf_counter() - max(self._first.values())
        drafted = self._load.drafted_tokens - before.drafted_tokens
        right = (self._load.accepted_tokens - before.accepted_tokens) / (drafted or 1)
        return len(ids) * (ANSWER - 1) / took, right, list(self._said.values())


class Oracle(Speculation):
    """Knows the answers, and says a token of them as often as it is to be right."""

    def __init__(self, prompts: list[list[int]], answers: list[list[int]], right: float) -> None:
        super().__init__()
        self.answers = {
            tuple(one[:PROMPT]): said for one, said in zip(prompts, answers, strict=False)
        }
        self.right, self.random = right, random.Random(0)

    def propose(self, one: Proposal, tokens: Sequence[int], most: int, least: float) -> None:
        one.draft.clear()
        if most <= 0 or least >= 1 or one.record.share(1.0) < least:
            one.record.forget()
            return
        one.likely = self.experience.likely(0, one.record)
        answer = self.answers[tuple(tokens[:PROMPT])][len(tokens) - PROMPT :]
        if one.likely > least:
            for token in answer[: min(most, worth(one.likely, least))]:
                is_right = self.random.random() < self.right
                one.draft.append(token if is_right else token ^ 1)
        else:
            one.record.forget()


@contextmanager
def engines(checkpoint: Path, args: argparse.Namespace) -> Iterator[list[Engine]]:
    with ExitStack() as stack:
        both = []
        for mode in ("disable", args.mode):
            both.append(Engine(checkpoint, mode, args))
            stack.callback(both[-1].close)
        yield both


def text_of(checkpoint: Path, file: Path) -> list[int]:
    """In the checkpoint's tokens; any tokens if it has no tokenizer."""
    from tokenizers import Tokenizer

    found = open_checkpoint(checkpoint)
    if not (path := found.text / "tokenizer.json").exists():
        return random.Random(0).choices(range(1, min(1000, found.spec.vocab)), k=4 * PROMPT)
    return list(Tokenizer.from_file(str(path)).encode(file.read_text()).ids)


def chats(count: int) -> list[str]:
    """Questions of what a small model knows."""
    asked = [
        "Count from {0} to {1}.", "What is {0} + {1}?", "Write the numbers from {0} to {1}, a comma "
        "between them.", "List {0} animals.", "Tell me about the number {1}.",
    ]  # fmt: skip
    return [asked[i % len(asked)].format(i + 2, i + 20) for i in range(count)]


def questions(checkpoint: Path, count: int) -> list[list[int]]:
    """Chats with a question each, in the checkpoint's tokens; none without a template."""
    try:
        files = TextFiles(open_checkpoint(checkpoint).text)
        frontend = Frontend.load(files, str(checkpoint), max_sequence_length=PROMPT + ANSWER)
    except (OSError, ValueError):
        return []
    bodies = [{"messages": [{"role": "user", "content": text}]} for text in chats(count)]
    return [frontend.tokens_of(ChatCompletionRequest.model_validate(one)) for one in bodies]


def quoting(text: list[int], count: int) -> list[list[int]]:
    """Prompts, each of another part of the text."""
    rest = len(text) - PROMPT
    if rest < count:
        sys.exit(f"the text must have {PROMPT + count} tokens, found {len(text)}")
    parts = [text[at : at + PROMPT - QUOTED] for at in range(0, rest, rest // count)][:count]
    return [[*part, *part[:QUOTED]] for part in parts]


def run(args: argparse.Namespace) -> None:
    text = text_of(args.checkpoint, args.text)
    table = Table(
        "load", "c", "without, tok/s", "with", "ratio", "right", "same tokens", box=SIMPLE_HEAD
    )
    console = Console()
    greedy, drawn = Sampling(temperature=0.0), Sampling(temperature=1.0, seed=1)
    asked = questions(args.checkpoint, max(args.concurrency))
    loads = [("quoted", greedy, 0.0), ("asked", greedy, 0.0), ("own words", drawn, 0.0)]
    if args.right:
        loads = [(f"{right:.0%} right", drawn, right) for right in args.right]
    with console.status("loading") as status, engines(args.checkpoint, args) as both:
        for name, sampling, right_share in loads if asked else loads[:1] + loads[2:]:
            for count in args.concurrency:
                status.update(f"{name}, {count} at once")
                prompts = asked[:count] if name == "asked" else quoting(text, count)
                if args.right:
                    *_, answers = both[0].run(prompts, sampling)
                    both[1].ask(Oracle(prompts, answers, right_share))
                rounds = [[one.run(prompts, sampling) for one in both] for _ in range(args.rounds)]
                without, with_drafts = (
                    statistics.median(row[at][0] for row in rounds) for at in (0, 1)
                )
                right = statistics.median(row[1][1] for row in rounds)
                same = all(row[0][2] == row[1][2] for row in rounds)
                figures = f"{without:.0f}", f"{with_drafts:.0f}", f"{with_drafts / without:.2f}"
                table.add_row(name, str(count), *figures, f"{right:.0%}", "yes" if same else "NO")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?")
    add("--text", type=Path, default=TEXT, help="what is quoted (ARCHITECTURE.md)")
    add("--concurrency", type=int, nargs="+", default=[1, 4, 16])
    add("--rounds", type=int, default=3)
    add("--quantization", default="auto")
    add("--threads", type=int)
    add("--mode", default="ngram", help="ngram, small_draft, eagle, medusa or self")
    add("--draft", help="what drafts, where the checkpoint does not bring it")
    add("--draft-quantization", default="auto", help="of what drafts")
    add("--length", type=int, default=0, help="tokens of a draft; 0: as many as pay")
    add("--width", type=int, default=1, help="tokens proposed for one position")
    add("--right", type=float, nargs="+", help="shares of drafts that an oracle gets right")
    args = parser.parse_args()
    args.checkpoint = args.checkpoint or default_checkpoint()
    run(args)


if __name__ == "__main__":
    main()
