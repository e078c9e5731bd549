"""What steps have taken, for prefills and for decodes, and by the size of a batch."""

from dataclasses import dataclass, field

from raylax.proto.vocabulary import StepTime

MOST_SIZE = 64
"""Larger batches are not told apart."""


def no_sizes() -> list[float]:
    return [0.0] * (MOST_SIZE + 1)


@dataclass
class StepSums:
    """Sums since the start. Written by the engine thread; others may look."""

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
