"""What is bounded of making prompts, in numbers."""

from dataclasses import dataclass

LONGER_EACH_BYTES = 2 << 20
"""So many bytes have once more the time of a small prompt."""


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """How much there is of it."""

    processes: int = 2
    timeout_s: float = 5.0
    memory_bytes: int = 256 << 20
    max_wait_s: float = 60.0

    def allowed_s(self, size: int) -> float:
        """How long the prompt of a request of so many bytes may take."""
        return self.timeout_s * (1 + size / LONGER_EACH_BYTES)
