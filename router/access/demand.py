"""What comes for a model: what the autoscaler is told by routers, and what it tells them."""

from dataclasses import dataclass

from raylax.proto.wire.outlook import Outlook


@dataclass
class Demand:
    """Of one model, also while no worker of it has been seen. Counters since the router's start, of
    calls that were refused, too."""

    arrived: int = 0
    """Requests: one for each prompt and choice."""
    prompt_tokens: int = 0

    next_ready_at: float | None = None
    """When the next worker is expected, on the router's clock; None: none is ordered."""
    on_demand: bool = False
    """There is no worker while nobody asks: the next request orders one."""

    def expect(self, outlook: Outlook | None, now: float, now_s: float) -> None:
        """Take in what the autoscaler says; None: it says nothing. `now`: on the router's clock;
        `now_s`: seconds of the calendar."""
        in_s = None if outlook is None else outlook.next_ready_s(now_s)
        self.next_ready_at = None if in_s is None else now + in_s
        self.on_demand = outlook is not None and outlook.least == 0

    def next_ready_s(self, now: float) -> float | None:
        """Seconds until then."""
        return None if self.next_ready_at is None else max(0.0, self.next_ready_at - now)

    def came(self, requests: int, prompt_tokens: int) -> None:
        """A call, before anything is held against it."""
        self.arrived += requests
        self.prompt_tokens += prompt_tokens
