"""The far end of `engines.child.EngineChild`: loads an engine, says so, then measures whenever it is told to."""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from engines.base import Load, Options
from engines.processes import peak_mb

WARM = 32
"""Tokens of an answer before each that is measured, as llama-batched-bench has some: this process
stood still while the others had the caches and the memory."""
Times = list[list[float]]
"""When each token of each sequence came."""


class Inner(Protocol):
    facts: dict[str, Any]

    def run(self, prompts: list[list[int]], answer: int) -> Times:
        """Begin all at once, make `answer` tokens each, greedily."""
        ...


def rate(load: Load, begun: float, times: Times) -> float:
    """Prefill ends with the first token; decoding begins with the last sequence's first one."""
    first = max(moments[0] for moments in times)
    if load.is_prefill:
        return load.prompt / (first - begun)
    later = [moment for moments in times for moment in moments if moment > first]
    return len(later) / (max(later) - first)


def prompts(rng: random.Random, load: Load) -> list[list[int]]:
    """No two alike, so that nothing can be shared."""
    return [rng.choices(range(1, 1000), k=load.prompt) for _ in range(load.sequences)]


def serve(load_engine: Callable[[Options], Inner]) -> None:
    """Until the input ends. What libraries print goes to the errors, so that answers stay whole."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    rng, options = random.Random(0), Options(**json.loads(sys.argv[1]))

    def measure(load: Load) -> dict[str, float]:
        asked, spent, begun = prompts(rng, load), time.process_time(), time.perf_counter()
        times = engine.run(asked, load.answer)
        spent = time.process_time() - spent
        return {
            "tokens_per_s": rate(load, begun, times), "cpu_s": spent, "peak_mb": peak_mb()
        }  # fmt: skip

    try:
        engine = load_engine(options)
        for sequences in (1, options.sequences):
            measure(Load("warm up", sequences, 64, 4))
        print(json.dumps(engine.facts), file=answers)
        for line in sys.stdin:
            order = json.loads(line)
            asked = order.get("ask")
            if asked:
                answer = getattr(engine, asked)()
            else:
                load = Load(**order)
                warm = measure(replace(load, answer=min(load.answer, WARM)))
                answer = measure(load)
                answer["cpu_s"] += warm["cpu_s"]
            print(json.dumps(answer), file=answers)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)
    answers.flush()
    os._exit(0)  # engines' threads need not end well
