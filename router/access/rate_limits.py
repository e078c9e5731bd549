"""How much each API key may ask: requests and tokens a minute, and sequences at once.

A call counts as what it costs: each of its sequences is a request, and runs; what its prompts have
and its answers may have is set aside when it begins, and what it did not use is given back.
Plain accounts with the clock as an argument. They are those of one router: each of several routers
grants its part of every limit, a `routers`-th, so that no request waits for another router's word.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.errors import InvalidRequest, RateLimited
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
    there, as tokens are that an answer had beyond what was set aside, makes its level negative."""

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


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call comes to. The defaults are those of work without sequences in an engine, whose
    tokens are known when it is done."""

    sequences: int = 1
    """One for each prompt and choice: what runs at once, and how many requests it counts as."""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    """How many its answers may have at most."""
    open_ended: bool = False
    """Nobody has said how long its answers may be."""

    @property
    def named_tokens(self) -> int:
        """The tokens that the client has named."""
        return self.prompt_tokens + (0 if self.open_ended else self.answer_tokens)

    def reserved(self, most: float) -> float:
        """The tokens to set aside of an account that holds `most`: where nobody has said how long
        the answers may be, no more than that; what they take beyond is owed."""
        all_tokens = self.prompt_tokens + self.answer_tokens
        return max(self.prompt_tokens, min(all_tokens, most)) if self.open_ended else all_tokens


@dataclass(slots=True)
class KeyAccount:
    """What one key has used and may use in this router. None: there is no such limit."""

    key: Key
    requests: Bucket | None = None
    tokens: Bucket | None = None
    most_open: int | None = None
    open: int = 0
    """Sequences that have not ended."""
    usual_s: float = UNKNOWN_S

    def take_over(self, limits: "KeyAccount") -> None:
        """Have the limits of another account, which is full, and be owed or owe as before."""
        self.key, self.most_open = limits.key, limits.most_open
        self.requests = renewed(self.requests, limits.requests)
        self.tokens = renewed(self.tokens, limits.tokens)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that a call would break, and the seconds after which it would not."""

    wait_s: float
    rule: str


class Ticket:
    """A call that was let in. Its owner says what it has used, and when it has ended."""

    def __init__(self, account: KeyAccount, cost: Cost, reserved: float, begun: float) -> None:
        self._account: KeyAccount | None = account
        self._sequences, self._reserved, self._begun = cost.sequences, reserved, begun
        self.used = 0
        """Its tokens, of prompts and answers."""

    def close(self, now: float) -> None:
        """The call has ended: what it has not used of what was set aside is given back. Only the
        first time counts."""
        account, self._account = self._account, None
        if account is not None:
            account.open -= self._sequences
            account.usual_s += NEWEST * (now - self._begun - account.usual_s)
            if account.tokens is not None:
                account.tokens.take(self.used - self._reserved, now)


class RateLimiter:
    """Lets calls in, or refuses them, by the limits of their keys. A tenant without a key, the only
    one of an open cluster, has no limit."""

    def __init__(self, keys: Sequence[Key] = (), routers: int = 1) -> None:
        self._routers = routers
        self._accounts = {key.name: full_account(key, routers) for key in keys}
        self._anybody = KeyAccount(Key("", ""))

    def replace(self, keys: Sequence[Key]) -> None:
        """These are the keys from now on. One of a known name goes on with what it has used."""
        before, made = self._accounts, [full_account(key, self._routers) for key in keys]
        self._accounts = {one.key.name: one for one in made}
        for name in before.keys() & self._accounts.keys():
            before[name].take_over(self._accounts[name])
            self._accounts[name] = before[name]

    def open(self, name: str) -> int:
        """How many sequences of a key have not ended."""
        return self._account(name).open

    def enter(self, name: str, now: float) -> None:
        """Charges a request that has come, whatever it asks and whether or not it gets it. Raises
        RateLimited, which says when to return."""
        account = self._account(name)
        if (bucket := account.requests) is None:
            return
        if (wait_s := bucket.wait_s(1, now)) > EXACT_S:
            raise self._refused(account, Refusal(wait_s, requests_rule(bucket)))
        bucket.take(1, now)

    def admit(self, name: str, cost: Cost, now: float, again: bool = False) -> Ticket:
        """Lets in a call that has entered: charges its further sequences as requests, and sets its
        tokens aside. Raises RateLimited, which says when to return, and InvalidRequest for what no
        wait helps; neither for what another router has let in before, `again`."""
        account = self._account(name)
        if not again:
            self.check(name, cost, now)
        reserved = 0.0
        if account.requests is not None:
            account.requests.take(cost.sequences - 1, now)
        if account.tokens is not None:
            reserved = cost.reserved(account.tokens.most)
            account.tokens.take(reserved, now)
        account.open += cost.sequences
        return Ticket(account, cost, reserved, now)

    def check(self, name: str, cost: Cost, now: float) -> None:
        """Raises as `admit`, and changes nothing."""
        account = self._account(name)
        check_size(account.key, cost)
        if any(one.wait_s > EXACT_S for one in refusals(account, cost, now, entered=1)):
            later = refusals(account, cost, now, entered=0)  # who returns enters once more
            raise self._refused(account, max(later, key=lambda refusal: refusal.wait_s))

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

    def _refused(self, account: KeyAccount, refusal: Refusal) -> RateLimited:
        part = f" at each of {self._routers} routers" if self._routers > 1 else ""
        return RateLimited(
            f"the API key {account.key.name} may {refusal.rule}{part}; try again in "
            f"{refusal.wait_s:.3g} s",
            retry_after_s=refusal.wait_s,
        )


def refusals(account: KeyAccount, cost: Cost, now: float, entered: int) -> list[Refusal]:
    """Every limit, with how long it would have the call wait, of which `entered` requests are
    charged already. What is more than a part of a limit waits until nothing of that is in use."""
    found = []
    if (most := account.most_open) is not None:
        rule = f"run {most} sequences at once, {account.open} are running, this call comes to "
        fits = account.open + cost.sequences <= most or not account.open
        wait_s = account.usual_s * min(1, cost.sequences / most)
        found.append(Refusal(0 if fits else max(wait_s, 2 * EXACT_S), f"{rule}{cost.sequences}"))
    if (bucket := account.requests) is not None:
        rule = requests_rule(bucket)
        if cost.sequences > 1:
            rule += f", this call counts as {cost.sequences}"
        needed = min(max(1, cost.sequences), bucket.most) - entered
        found.append(Refusal(bucket.wait_s(needed, now), rule))
    if (bucket := account.tokens) is not None:
        wait_s = bucket.wait_s(cost.reserved(bucket.most), now)
        left = max(0, int(bucket.level))
        rule = (
            f"use {bucket.most:g} tokens a minute, {left} are left, the prompt has "
            f"{cost.prompt_tokens} and the answer may have {cost.answer_tokens}"
        )
        found.append(Refusal(wait_s, rule))
    return found


def requests_rule(bucket: Bucket) -> str:
    return f"send {bucket.most:g} requests a minute"


def check_size(key: Key, cost: Cost) -> None:
    """Raises InvalidRequest for a call that is larger than a whole limit."""
    limits = (
        ("run {} sequences at once", key.max_concurrent, cost.sequences),
        (
            "send {} requests a minute, one for each sequence",
            key.requests_per_minute,
            cost.sequences,
        ),
        ("use {} tokens a minute", key.tokens_per_minute, cost.named_tokens),
    )
    for rule, limit, asked in limits:
        if limit is not None and asked > limit:
            raise InvalidRequest(
                f"the API key {key.name} may {rule.format(limit)}, this call comes to {asked}: it "
                "never fits"
            )


def renewed(before: Bucket | None, full: Bucket | None) -> Bucket | None:
    """A bucket of the new size, from which as much is missing as before."""
    if before is None or full is None:
        return full
    return Bucket(full.most, full.most - (before.most - before.level), before.at)


def full_account(key: Key, routers: int) -> KeyAccount:
    """A key's account, full, with this router's part of every limit."""

    def bucket(limit: int | None) -> Bucket | None:
        return None if limit is None else Bucket(limit / routers, limit / routers, -math.inf)

    most_open = None if key.max_concurrent is None else max(1, key.max_concurrent // routers)
    return KeyAccount(
        key, bucket(key.requests_per_minute), bucket(key.tokens_per_minute), most_open
    )


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: 20ms, 1.5s, 6m0s."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
