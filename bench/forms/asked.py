"""An engine that is asked, and when its answers came."""

import statistics
import threading
import time
from itertools import count
from pathlib import Path

from raylax.proto.vocabulary import Delta, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads

PROMPT = 64
PATIENCE_S = 600.0
NUMBERS = count()


class Asked:
    def __init__(self, checkpoint: Path, quantization: str, mode: str, most: int, tokens: int):
        """`most`: answers at once. `tokens`: the longest one. `mode`: of drafts."""
        self._changed = threading.Condition()
        self._came: dict[str, list[float]] = {}
        self._open = set[str]()
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine("cpu", self._hear)
        self._threads = start_threads(self._engine)
        self._engine.reload(
            EngineConfig(
                model=str(checkpoint), mode="server", quantization=quantization,
                speculative_mode=mode, prefix_cache_mode="disable",
                max_num_sequence=most, max_single_sequence_length=PROMPT + tokens,
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
                if delta.request_id in self._came:
                    self._came[delta.request_id] += [time.perf_counter()] * len(delta.token_ids)
                if delta.finish is not None:
                    self._open.discard(delta.request_id)
            self._changed.notify_all()

    def _ask(self, id: str, seed: int, tokens: int, grammar: str = "") -> None:
        prompt = tuple((7 * seed + 13 * i) % (self._vocab - 100) + 50 for i in range(PROMPT))
        sampling = Sampling(temperature=1.0, seed=seed, grammar=grammar)
        self._engine.add_request(Request(id, prompt, tokens, sampling))

    def _begin(self, number: int, tokens: int, grammar: str = "") -> list[str]:
        ids = [f"asked {next(NUMBERS)}" for _ in range(number)]
        with self._changed:
            self._came, self._open = {id: [] for id in ids}, set(ids)
        for at, id in enumerate(ids):
            self._ask(id, at, tokens, grammar)
        return ids

    def times(self, number: int, tokens: int, grammar: str = "") -> tuple[float, float]:
        """Seconds until the first token of so many answers at once, and their tokens a second
        behind it."""
        begun = time.perf_counter()
        self._begin(number, tokens, grammar)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, PATIENCE_S):
                raise SystemExit("no answer")
        first = min(came[0] for came in self._came.values())
        last = max(came[-1] for came in self._came.values())
        made = sum(len(came) for came in self._came.values()) - number
        return first - begun, made / (last - first) if made else 0.0

    def gaps_beside(
        self, streams: int, tokens: int, guests: list[str], every_s: float, guest_tokens: int
    ) -> list[float]:
        """Seconds between the tokens of free streams, beside which every so often, once he has his
        last answer, somebody asks for a short one, in the next of these forms; empty: in none."""
        ids = self._begin(streams, tokens)
        begun, turns, left = time.perf_counter(), 0, list(guests)
        while True:
            with self._changed:
                wait = begun + turns * every_s - time.perf_counter()
                if self._changed.wait_for(lambda: not self._streaming(ids), max(0.0, wait)):
                    break
            turns += 1
            with self._changed:
                if self._open - set(ids) or not left:
                    continue
                id = f"guest {next(NUMBERS)}"
                self._open.add(id)
            self._ask(id, turns, guest_tokens, left.pop(0))
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, PATIENCE_S):
                raise SystemExit("a guest has no answer")
        came = [self._came[id] for id in ids]
        return [b - a for one in came for a, b in zip(one, one[1:], strict=False)]

    def _streaming(self, ids: list[str]) -> bool:
        return any(id in self._open for id in ids)


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000)[round(1000 * share) - 1]
