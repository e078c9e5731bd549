"""What an engine has done, in numbers."""

from dataclasses import dataclass, field, replace

from raylax.worker.config import MOST_DRAFTED
from raylax.worker.scheduling.step_sums import StepSums


@dataclass
class Counters:
    """What has happened since the start."""

    steps: int = 0
    preemptions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
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

    def copy(self) -> "Counters":
        """As they are now."""
        return replace(self, drafted_at=[*self.drafted_at], accepted_at=[*self.accepted_at])
