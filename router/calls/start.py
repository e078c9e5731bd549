"""Runs a prepared call for its caller: the same for every method that computes something."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.router.access.byte_budget import Holding
from raylax.router.access.caller import caller
from raylax.router.calls.service import Service
from raylax.router.resume.answer_log import AnswerLog

LAST_WORDS_S = 1.0
"""How long a client may take to read the end, after the call's own time."""


@dataclass(frozen=True, slots=True)
class StartedCall:
    """A call on its way, and how long it may take."""

    events: AsyncGenerator[list[TextEvent]]
    """The call's events, in one list those that came together. Closing it cancels what still
    runs."""
    allowed_s: float
    log: AnswerLog | None = None
    """By which another router could go on with it."""


def start(
    service: Service,
    call: Call,
    remaining_s: float | None,
    session: str = "",
    whole: bool = False,
    log: AnswerLog | None = None,
) -> StartedCall:
    """Run a call. `remaining_s`: what its client leaves of its time; None: no limit of theirs.
    `session`: the client's name for it, of which other tenants' sessions know nothing. `log`: keeps
    what is said."""
    if not whole:
        call.be_streamed()
    timeout_s = caller().origin.soonest(remaining_s)
    within = within_tenant(caller().tenant, session)
    events = service.run(call, timeout_s, within, caller().span, whole, log)
    return StartedCall(events, service.allowed_s(timeout_s), log)


def within_tenant(tenant: str, session: str) -> str:
    """The name of a client's session among all of them; empty if it has none."""
    return f"{tenant}/{session}" if session else ""


async def finish(
    service: Service, call: Call, remaining_s: float | None, held: Holding, session: str = ""
) -> None:
    """Run a call to its end, where nothing before that matters. Its answer is `held` from its first
    token on; raises Overloaded where there is no room for more of it."""
    async for events in start(service, call, remaining_s, session, whole=True).events:
        held.take(sum([event.size for event in events]))
    held.take(max(0, call.size - held.bytes))  # no event has a vector


def read_deadline(allowed_s: float) -> asyncio.Timeout:
    """The time by which a call that may take so long must have been read."""
    return asyncio.timeout(allowed_s + LAST_WORDS_S)
