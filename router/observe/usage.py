"""What each tenant has had of this router, for the tenant itself: plain counters."""

from collections import defaultdict
from dataclasses import dataclass

from raylax.proto.calls.call import Call


@dataclass(slots=True)
class Had:
    """What one tenant has had since the router's start. It only grows."""

    calls: int = 0
    """Those that have ended, however."""
    prompt_tokens: int = 0
    generated_tokens: int = 0


class Usage:
    """What the tenants have had, by name; there are as many as keys."""

    def __init__(self) -> None:
        self._had: defaultdict[str, Had] = defaultdict(Had)

    def count(self, call: Call) -> None:
        """Count a call that has ended."""
        had = self._had[call.requests[0].tenant]
        had.calls += 1
        had.prompt_tokens += call.prompt_tokens
        had.generated_tokens += call.completion_tokens

    def of(self, tenant: str) -> Had:
        """What this one has had."""
        return self._had.get(tenant, Had())
