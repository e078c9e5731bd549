"""What an engine has done, in numbers."""

from bisect import bisect_left
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from raylax.proto.vocabulary import StepTime
from raylax.worker.config import MOST_DRAFTED

MOST_SIZE = 64
"""Larger batches are not told apart."""

STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""Where the buckets of steps end, as vLLM has them."""
PARTS = ("draft", "decide", "submit", "decide ahead", "run", "draw", "commit", "failed run")
"""Of a step: what may follow is proposed; who is computed is decided; a device is given it; the
next one is decided meanwhile; the model runs; tokens are drawn, and kept."""


def no_sizes() -> list[float]:
    return [0.0] * (MOST_SIZE + 1)


@dataclass
class StepSums:
    """What steps have taken since the start: for prefills, for decodes, by the size of a batch.
    Written by the engine thread; others may look."""

    prefill_s: float = 0.0
    decode_s: float = 0.0
    prefill_tokens: int = 0
    """That were computed: those found in pages are none, and those computed again are."""
    by_size_s: list[float] = field(default_factory=no_sizes)
    """Of steps that decode so many sequences and do nothing else; without the first of each size,
    in which memory is touched for the first time."""
    by_size: list[float] = field(default_factory=no_sizes)
    """How many those were, the first one too."""

    def clear(self) -> None:
        """Begin at nothing."""
        self.prefill_s = self.decode_s = 0.0
        self.prefill_tokens = 0
        self.by_size_s, self.by_size = no_sizes(), no_sizes()

    def add(self, work: tuple[int, int, int], seconds: float, pace: StepTime) -> None:
        """A step of this work, see `work_of`. One that prefills and decodes is divided by what its
        tokens take, as it was learned."""
        prefill, decoding, context = work
        of_prefill = pace.b * prefill
        costs = of_prefill + pace.c * decoding + pace.d * context
        share = of_prefill / costs if costs else prefill / max(1, prefill + decoding)
        share = share if decoding else 1.0
        self.prefill_s += share * seconds if prefill else 0.0
        self.decode_s += (1.0 - share) * seconds if prefill else seconds
        self.prefill_tokens += prefill
        if not prefill and decoding <= MOST_SIZE:
            self.by_size_s[decoding] += seconds if self.by_size[decoding] else 0.0
            self.by_size[decoding] += 1


@dataclass
class Counters:
    """What has happened since the start."""

    steps: int = 0
    preemptions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    ended: int = 0
    """Requests that are gone, however they ended."""
    ended_tokens: int = 0
    """Of their answers."""
    drafts: int = 0
    """Steps of a sequence that verified some of its draft."""
    drafted_tokens: int = 0
    """That were verified."""
    accepted_tokens: int = 0
    """Of those, that were drawn."""
    drafted_at: list[int] = field(default_factory=lambda: [0] * MOST_DRAFTED)
    """By how many drafted tokens stood before it in its draft."""
    accepted_at: list[int] = field(default_factory=lambda: [0] * MOST_DRAFTED)
    unanswered: int = 0
    """Requests that ended since nothing could be drawn for them."""
    pages_fetched: int = 0
    """That came from other engines."""
    pages_handed_out: int = 0
    """That were sent to others."""
    pages_put_back: int = 0
    """Of those who gave way, from host memory."""
    part_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    """Seconds of steps, by part."""
    step_tokens: list[int] = field(default_factory=lambda: [0] * (len(STEP_TOKENS) + 1))
    """Steps, by how many tokens they computed: up to each of STEP_TOKENS, and more."""
    step_tokens_sum: int = 0
    sums: StepSums = field(default_factory=StepSums)

    def verified(self, drafted: int, right: int) -> None:
        """Of a draft so many tokens were verified, and the first of them were right."""
        self.drafts += 1
        self.drafted_tokens += drafted
        self.accepted_tokens += right
        for at in range(drafted):
            self.drafted_at[at] += 1
        for at in range(right):
            self.accepted_at[at] += 1

    def stepped(self, tokens: int) -> None:
        """A step has computed so many tokens."""
        self.step_tokens[bisect_left(STEP_TOKENS, tokens)] += 1
        self.step_tokens_sum += tokens

    @property
    def told(self) -> dict[str, Any]:
        """What is told of them besides a load."""
        return {
            "part_s": {**self.part_s},
            "step_tokens": [*self.step_tokens],
            "step_tokens_sum": self.step_tokens_sum,
            "pages_fetched": self.pages_fetched,
            "pages_handed_out": self.pages_handed_out,
            "pages_put_back": self.pages_put_back,
            "accepted_at": [*self.accepted_at],
        }

    def copy(self) -> "Counters":
        """As they are now."""
        return deepcopy(self)
