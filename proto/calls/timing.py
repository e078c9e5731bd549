"""What a request took, by the names that MLC-LLM has for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Clock = Callable[[], float]


def now() -> float:
    """Seconds of a clock that never jumps."""
    return time.monotonic()


@dataclass
class Timing:
    """When a request came, when its first token was there, and when its last one."""

    clock: Clock = now
    begun: float = field(init=False)
    first: float | None = None
    last: float | None = None

    def __post_init__(self) -> None:
        self.begun = self.clock()

    def heard(self) -> None:
        """A token has come, or the end."""
        self.last = self.clock()
        if self.first is None:
            self.first = self.last

    def metrics(
        self, prompt_tokens: int, prefill_tokens: int, completion_tokens: int, answers: int = 1
    ) -> dict[str, Any]:
        """`prefill_tokens`: that were computed, not found. The first token of each of its answers
        comes of the prefill. What has taken no time has no rate."""
        first = self.begun if self.first is None else self.first
        last = first if self.last is None else self.last
        decode = max(0, completion_tokens - answers)
        rates = {
            "prefill_tokens_per_s": (prefill_tokens, first - self.begun),
            "decode_tokens_per_s": (decode, last - first),
        }
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "prefill_tokens": prefill_tokens,
            "decode_tokens": decode,
            "jump_forward_tokens": 0,
            **{name: tokens / took for name, (tokens, took) in rates.items() if took > 0},
            "end_to_end_latency_s": last - self.begun,
            "ttft_s": first - self.begun,
            "inter_token_latency_s": (last - self.begun) / max(1, completion_tokens),
        }
