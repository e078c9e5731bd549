"""How much each API key may ask: requests and tokens a minute, and calls at once.

Plain accounts with the clock as an argument. They are those of one router: each of several routers
grants its part of every limit, a `routers`-th, so that no request waits for another router's word.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.errors import RateLimited
from raylax.router.access.keys import Key

MINUTE_S = 60.0
EXACT_S = 1e-6
"""A wait as short as this is none: who has waited as long as they were told is let in, whatever the
rounding."""
UNKNOWN_S = 1.0
"""How long a call is thought to take before one has ended."""
NEWEST = 0.2
"""The weight of the last call in the average of how long calls take."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: fills evenly, in a minute from empty to full. What is taken before it is
    there, as tokens are that an answer has generated, makes its level negative."""

    most: float
    level: float
    at: float

    def fill(self, now: float) -> None:
        gained = (now - self.at) * self.most / MINUTE_S
        self.level, self.at = min(self.most, self.level + gained), now

    def take(self, amount: float, now: float) -> None:
        self.fill(now)
        self.level -= amount

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until there is so much. What is more than it ever holds waits for it to be
        full."""
        self.fill(now)
        return self._seconds(min(amount, self.most) - self.level)

    def headers(self, what: str, now: float) -> dict[str, str]:
        self.fill(now)
        return {
            f"x-ratelimit-limit-{what}": str(int(self.most)),
            f"x-ratelimit-remaining-{what}": str(max(0, int(self.level))),
            f"x-ratelimit-reset-{what}": duration(self._seconds(self.most - self.level)),
        }

    def _seconds(self, missing: float) -> float:
        return max(0.0, missing) * MINUTE_S / self.most


@dataclass(slots=True)
class KeyAccount:
    """What one key has used and may use in this router. None: there is no such limit."""

    name: str
    requests: Bucket | None = None
    tokens: Bucket | None = None
    most_open: int | None = None
    open: int = 0
    usual_s: float = UNKNOWN_S


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that a call would break, and the seconds after which it would not."""

    wait_s: float
    rule: str


class Ticket:
    """A call that was let in. Its owner says what it generates, and when it has ended."""

    def __init__(self, account: KeyAccount, begun: float) -> None:
        self._account: KeyAccount | None = account
        self._begun = begun

    def generated(self, tokens: int, now: float) -> None:
        account = self._account
        if account is not None and account.tokens is not None:
            account.tokens.take(tokens, now)

    def close(self, now: float) -> None:
        """The call has ended. Only the first time counts."""
        account, self._account = self._account, None
        if account is not None:
            account.open -= 1
            account.usual_s += NEWEST * (now - self._begun - account.usual_s)


class RateLimiter:
    """Lets calls in, or refuses them, by the limits of their keys. A tenant without a key, the only
    one of an open cluster, has no limit."""

    def __init__(self, keys: Sequence[Key] = (), routers: int = 1) -> None:
        self._routers = routers
        self._accounts = {key.name: full_account(key, routers) for key in keys}
        self._anybody = KeyAccount("")

    def open(self, name: str) -> int:
        """How many calls of a key have not ended."""
        return self._account(name).open

    def admit(self, name: str, prompt_tokens: int, now: float) -> Ticket:
        """Lets a call in, and charges its prompt. Raises RateLimited, which says when to return."""
        account = self._account(name)
        refusals = [r for r in self._refusals(account, prompt_tokens, now) if r.wait_s > EXACT_S]
        if refusals:
            longest = max(refusals, key=lambda refusal: refusal.wait_s)
            raise RateLimited(
                f"the API key {name} may {longest.rule}{self._of_its_part()}; try again in "
                f"{longest.wait_s:.3g} s",
                retry_after_s=longest.wait_s,
            )
        if account.requests is not None:
            account.requests.take(1, now)
        if account.tokens is not None:
            account.tokens.take(prompt_tokens, now)
        account.open += 1
        return Ticket(account, now)

    def headers(self, name: str, now: float) -> dict[str, str]:
        """What is left of a key's limits, in OpenAI's headers; nothing of limits that it does not
        have."""
        account = self._account(name)
        told: dict[str, str] = {}
        if account.requests is not None:
            told |= account.requests.headers("requests", now)
        if account.tokens is not None:
            told |= account.tokens.headers("tokens", now)
        return told

    def _account(self, name: str) -> KeyAccount:
        return self._accounts.get(name, self._anybody)

    def _refusals(self, account: KeyAccount, prompt_tokens: int, now: float) -> list[Refusal]:
        """Every limit, with how long it would have the call wait."""
        found = []
        if (most := account.most_open) is not None and account.open >= most:
            rule = f"run {most} calls at once, {account.open} are running"
            found.append(Refusal(max(account.usual_s / most, 2 * EXACT_S), rule))
        if (bucket := account.requests) is not None:
            rule = f"send {bucket.most:g} requests a minute"
            found.append(Refusal(bucket.wait_s(1, now), rule))
        if (bucket := account.tokens) is not None:
            wait_s = bucket.wait_s(prompt_tokens, now)
            left = max(0, int(bucket.level))
            rule = f"use {bucket.most:g} tokens a minute, {left} are left, the prompt has "
            found.append(Refusal(wait_s, f"{rule}{prompt_tokens}"))
        return found

    def _of_its_part(self) -> str:
        return f" at each of {self._routers} routers" if self._routers > 1 else ""


def full_account(key: Key, routers: int) -> KeyAccount:
    """A key's account, full, with this router's part of every limit."""

    def bucket(limit: int | None) -> Bucket | None:
        return None if limit is None else Bucket(limit / routers, limit / routers, -math.inf)

    most_open = None if key.max_concurrent is None else max(1, key.max_concurrent // routers)
    requests, tokens = bucket(key.requests_per_minute), bucket(key.tokens_per_minute)
    return KeyAccount(key.name, requests, tokens, most_open)


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: 20ms, 1.5s, 6m0s."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
