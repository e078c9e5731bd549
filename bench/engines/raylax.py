"""Raylax's threaded engine, without HTTP and router: `python -m engines.raylax OPTIONS`."""

import multiprocessing
import sys
import threading
import time
from typing import Any

from engines.base import Options
from engines.child import EngineChild
from engines.inside import Times, serve

PATIENCE_S = 600.0


def raylax(options: Options) -> EngineChild:
    kv = "" if options.kv_dtype == "auto" else f", KV {options.kv_dtype}"
    name = f"raylax {options.quantization}{kv}"
    return EngineChild(name, sys.executable, "engines.raylax", options)


class Raylax:
    """The engine with its two threads."""

    def __init__(self, options: Options) -> None:
        from engines.work import work_of
        from raylax.worker.config import EngineConfig
        from raylax.worker.engine.threaded_engine import ThreadedEngine
        from raylax.worker.engine.threads import start_threads

        config = EngineConfig(
            model=options.model, mode="server", quantization=options.quantization,
            kv_dtype=options.kv_dtype, threads=options.threads, prefix_cache_mode="disable",
            max_num_sequence=options.sequences, max_single_sequence_length=options.length,
            speculative_mode="disable",  # what it brings depends on the text: bench/speculation.py
            pin_threads=True, tensor_parallel_shards=options.shards, pipeline_parallel_stages=options.stages,
        )  # fmt: skip
        fill_store(config)
        self._changed = threading.Condition()
        self._times: dict[str, list[float]] = {}
        self._running: set[str] = set()
        self._failure: str | None = None
        self._begun = begun = time.perf_counter()
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine("cpu", self._hear)
        start_threads(self._engine)
        self._engine.reload(config)
        loaded_s = time.perf_counter() - begun
        self.facts = {"loaded_s": loaded_s, "work": work_of(config)}

    def last_step(self) -> dict[str, Any]:
        """What it took, and its operators on the first rank, in seconds. It ran from the token
        before the last one, or from the prompt, which is one step here."""
        call = self._engine.debug_call_func_on_all_worker
        operators: dict[str, float] = call("raylax.debug.seconds_by_operator")[0]
        before, last = sorted((self._begun, *next(iter(self._times.values()))))[-2:]
        return {"step_s": last - before, "operators": operators}

    def _hear(self, deltas: Any, load: Any) -> None:
        now = time.perf_counter()
        with self._changed:
            for delta in deltas:
                self._times[delta.request_id] += [now] * len(delta.token_ids)
                if delta.finish is not None:
                    self._running.discard(delta.request_id)
                    self._failure = self._failure or delta.error
            self._changed.notify_all()

    def run(self, prompts: list[list[int]], answer: int) -> Times:
        from raylax.proto.vocabulary import Request, Sampling

        names = [f"{time.monotonic_ns()}-{i}" for i in range(len(prompts))]
        self._times, self._running = {name: [] for name in names}, set(names)
        self._begun = time.perf_counter()
        for name, prompt in zip(names, prompts, strict=True):
            greedy = Sampling(temperature=0.0)
            self._engine.add_request(Request(name, tuple(prompt), answer, greedy))
        with self._changed:
            if not self._changed.wait_for(lambda: not self._running, PATIENCE_S):
                raise TimeoutError(f"no answer within {PATIENCE_S:.0f} s")
        if self._failure is not None:
            raise RuntimeError(self._failure)
        return list(self._times.values())


def fill_store(config: Any) -> None:
    """In a process of its own: packing needs memory that serving does not."""
    from raylax.worker.ranks.loading import build_rank

    def nobody_watches(stage: str, fraction: float) -> None:
        pass

    arguments = (config, "cpu", nobody_watches)
    builder = multiprocessing.get_context("fork").Process(target=build_rank, args=arguments)
    builder.start()
    builder.join()  # what went wrong there goes wrong here again, and is told


if __name__ == "__main__":
    serve(Raylax)
