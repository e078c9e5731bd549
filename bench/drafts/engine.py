"""An engine, asked for answers of one length."""

import argparse
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from drafts.loads import ANSWER, PROMPT, AskedFor, Oracle
from raylax.proto.vocabulary import Delta, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads
from raylax.worker.scheduling.drafting.lookup import Lookup

PATIENCE_S = 600.0


class Answers(NamedTuple):
    """What was said, and what it took."""

    said: list[list[int]]
    seconds: float
    """Behind the first tokens."""
    drafted: int
    right: int

    @property
    def pace(self) -> float:
        """Tokens a second."""
        return sum(len(one) - 1 for one in self.said) / self.seconds


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

    def ask(self, oracle: Oracle) -> None:
        """Drafts come from it from now on."""
        batch = self._engine._slot.loaded().batch
        batch.proposer = Lookup(oracle, tile_rows=batch.limits.tile_rows)

    def _hear(self, deltas: list[Delta], load: Load) -> None:
        with self._changed:
            self._load = load
            for delta in deltas:
                self._first.setdefault(delta.request_id, time.perf_counter())
                self._said[delta.request_id] += delta.token_ids
                if delta.finish is not None:
                    self._open.discard(delta.request_id)
            self._changed.notify_all()

    def run(self, prompts: list[list[int]], sampling: Sampling, ends: frozenset[int]) -> Answers:
        """To all of these at once, up to one of the tokens `ends`."""
        ids = [f"r{time.monotonic_ns()}.{i}" for i in range(len(prompts))]
        self._said, self._first, self._open = {id: [] for id in ids}, {}, set(ids)
        before = self._load
        for id, prompt in zip(ids, prompts, strict=True):
            self._engine.add_request(
                Request(id, tuple(prompt), ANSWER, sampling, stop_token_ids=ends)
            )
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, PATIENCE_S):
                raise TimeoutError(f"no answer within {PATIENCE_S:.0f} s")
        return Answers(
            list(self._said.values()),
            time.perf_counter() - max(self._first.values()),
            self._load.drafted_tokens - before.drafted_tokens,
            self._load.accepted_tokens - before.accepted_tokens,
        )

    def run_all(self, load: AskedFor, prompts: list[list[int]], at_once: int) -> Answers:
        """To so many at once, one group after the other."""
        groups = [prompts[at : at + at_once] for at in range(0, len(prompts), at_once)]
        return joined([self.run(group, load.sampling, load.ends) for group in groups])


def joined(groups: list[Answers]) -> Answers:
    """Of groups that were answered one after the other."""
    said, seconds, drafted, right = zip(*groups, strict=True)
    return Answers([one for group in said for one in group], sum(seconds), sum(drafted), sum(right))
