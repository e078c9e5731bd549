"""A request in a simulated engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raylax.cluster.simulate.trace import BLOCK, Arrival
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.sequence import PREFILL


@dataclass(slots=True, eq=False)
class SimulatedSequence:
    """One request. Times are those of its arrival and of its first and last token."""

    id: str
    arrival: Arrival
    router: int
    arrived: float
    tokens: int
    """To have in the pages before the next token: the prompt, and after a preemption the answer."""
    left: int
    """Tokens of the answer still to make."""
    expected: int = 0
    """To compute, as it looked when it came."""
    computed: int = 0
    own: int = 0
    """Tokens in pages that nobody else can find."""
    blocks: list[int] = field(default_factory=list)
    joined: int | None = None
    """Count of the engine's decode steps when it began to decode."""
    end: int = 0
    """Which of the engine's ends is its own; 0: none."""
    fetched: int = 0
    """Tokens whose pages come along from the worker that it has left."""
    passed: int = 0
    """Steps in which others were admitted before it, since it did not fit."""
    begun: bool = False
    """It was admitted here, be it that it waits again."""
    cached: int = 0
    first: float = 0.0
    last: float = 0.0

    @classmethod
    def of(cls, id: str, arrival: Arrival, router: int) -> "SimulatedSequence":
        """A request as it arrives."""
        return cls(id, arrival, router, arrival.at, arrival.prompt, arrival.answer)

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one of the answer."""
        return self.tokens - self.computed

    @property
    def names(self) -> Sequence[int]:
        """Of its blocks that may be found; its last token is computed, whatever is there."""
        return self.arrival.names[: (self.tokens - 1) // BLOCK]

    @property
    def candidate(self) -> Candidate:
        """As the scheduler sees one that waits, and does not fit."""
        waits = self.id, PREFILL, self.pending, self.computed, 0
        return Candidate(*waits, passed=self.passed, begun=self.begun)
