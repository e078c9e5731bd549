"""What an engine has done, in numbers."""

from dataclasses import dataclass


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
    unanswered: int = 0
    """Requests that ended since nothing could be drawn for them."""
