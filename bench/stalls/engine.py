"""An engine with one stream that is listened to, and long prompts beside it."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Literal, NamedTuple

from engines.base import PeerFailed

from raylax.proto.vocabulary import Delta, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads

PATIENCE_S = 900.0
STREAM = 32
"""Tokens of the stream's prompt."""
MOST = 1 << 20
"""Tokens of the stream's answer: as many as the model lets it have."""
BUSY = (16, 256, 64)
"""Of a busy engine: requests at once, tokens of their prompts, tokens of their answers."""
GREEDY = Sampling(temperature=0.0)


class Beside(NamedTuple):
    """What a stream was like, and what long prompts beside it were."""

    gaps_s: list[float]
    """Between two tokens of the stream."""
    firsts_s: list[float]
    """Until the first token of each long prompt, all of which came at once."""


@dataclass(frozen=True)
class Setting:
    """What an engine is loaded with."""

    model: str
    quantization: str
    threads: int | None
    chunk: int
    """`prefill_chunk_size`."""
    target_ms: float | Literal["auto"]
    """`target_itl_ms`."""
    total: int
    """Tokens of its KV cache."""


class StallEngine:
    """Raylax's threaded engine, without HTTP and router."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self._rng, self._names = setting, random.Random(0), count()
        self._changed = threading.Condition()
        self._came: dict[str, list[float]] = {}
        self._open = set[str]()
        self._error: str | None = None
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine("cpu", self._hear)
        self._threads = start_threads(self._engine)
        self._engine.reload(
            EngineConfig(
                model=setting.model, mode="server", quantization=setting.quantization,
                threads=setting.threads, prefill_chunk_size=setting.chunk,
                target_itl_ms=setting.target_ms, max_num_sequence=BUSY[0],
                max_total_sequence_length=setting.total,
                prefix_cache_mode="disable", speculative_mode="disable",
            )
        )  # fmt: skip

    def close(self) -> None:
        self._engine.exit_background_loop()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def quiet(self, tokens: int) -> list[float]:
        """Between two tokens of a stream with nobody beside it."""
        return self._gaps(self._ask(STREAM, tokens + 1))

    def beside(self, prompts: int, length: int) -> Beside:
        """A stream, and so many prompts of this length that come when it runs."""
        stream = self._ask(STREAM, MOST, wait=False)
        self._until(lambda: len(self._came[stream]) >= 8)
        begun = time.perf_counter()
        long = [self._ask(length, 1, wait=False) for _ in range(prompts)]
        self._until(lambda: not self._open.intersection(long))
        if stream not in self._open:
            raise PeerFailed("stall.py", "the stream ended before the prompts: give shorter ones")
        self._engine.abort_request(stream)
        self._until(lambda: stream not in self._open)
        firsts = [self._came[name][0] for name in long]
        there = [at for at in self._came[stream] if begun <= at <= max(firsts)]
        return Beside([b - a for a, b in pairwise(there)], [at - begun for at in firsts])

    def busy(self) -> float:
        """Tokens of prompts and answers a second, where as many are there as may run, and another
        one comes for each that ends."""
        at_once, prompt, answer = BUSY
        begun, asked = time.perf_counter(), set[str]()
        for _ in range(3 * at_once):
            self._until(lambda: len(self._open) < at_once)
            asked.add(self._ask(prompt, answer, wait=False))
        self._until(lambda: not self._open)
        return 3 * at_once * (prompt + answer) / (time.perf_counter() - begun)

    def _ask(self, prompt: int, answer: int, wait: bool = True) -> str:
        """Ask for so long an answer to a prompt that shares nothing with any other."""
        name = f"stall-{next(self._names)}"
        tokens = tuple(self._rng.choices(range(1, min(1000, self._engine.vocab)), k=prompt))
        with self._changed:
            self._came[name] = []
            self._open.add(name)
        self._engine.add_request(Request(name, tokens, answer, GREEDY))
        if wait:
            self._until(lambda: name not in self._open)
        return name

    def _gaps(self, name: str) -> list[float]:
        return [b - a for a, b in pairwise(self._came[name])]

    def _until(self, done: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._error or done(), PATIENCE_S):
                raise PeerFailed("raylax", f"nothing came within {PATIENCE_S:.0f} s")
        if self._error:
            raise PeerFailed("raylax", self._error)

    def _hear(self, deltas: Any, load: Load) -> None:
        now = time.perf_counter()
        with self._changed:
            for delta in deltas:
                self._take(delta, now)
            self._changed.notify_all()

    def _take(self, delta: Delta, now: float) -> None:
        self._came[delta.request_id] += [now] * len(delta.token_ids)
        if delta.finish is not None:
            self._open.discard(delta.request_id)
            self._error = self._error or delta.error
