"""Which worker gets a request.

A policy only looks: it is given what the router knows and names a worker, with its reasons.
Sending, retrying and keeping the books are the router's work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What the router knows of one worker, at one moment."""

    id: str
    queued_tokens: int = 0
    """Prompt tokens that wait for their prefill there, as far as is known."""
    requests: int = 0
    """Running and waiting there."""
    kv_usage: float = 0.0


@dataclass(frozen=True, slots=True)
class Routing:
    """What a policy may know of a request."""

    id: str
    prompt_tokens: int
    ordinal: int = 0
    """How many requests this router has routed before: turns ties and rounds without state."""


@dataclass(frozen=True, slots=True)
class Choice:
    worker: str
    reason: str
    terms: dict[str, float] = field(default_factory=dict)
    """What each candidate was compared by."""


class Policy(Protocol):
    def choose(self, request: Routing, workers: Sequence[WorkerView]) -> Choice:
        """Name one of `workers`, which is never empty and sorted by id. Changes nothing."""
        ...
