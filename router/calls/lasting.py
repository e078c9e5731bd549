"""Answers that outlive their client and, where there is a directory for that, their router.

An answer is sealed when it begins (`raylax.router.resume.sealing`), so that another router has it
as it was asked for, and goes on after what the first one has said of it.
"""

import logging
import pickle
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from raylax.proto.calls.call import Call
from raylax.router.access.caller import caller
from raylax.router.calls.service import Service
from raylax.router.calls.start import StartedCall, start, within_tenant
from raylax.router.resume.answer_log import AnswerLog, Beginning
from raylax.router.resume.sealing import Unsealable, seal, unseal

log = logging.getLogger(__name__)
SHORTEST_S = 1.0
"""What is left to a call at least when it is gone on with: its last words."""
Form = Callable[[Service, Any, StartedCall], AsyncGenerator[Any]]
"""An API's way to make the parts of an answer, of its content and of a call that runs."""


@dataclass(frozen=True, slots=True)
class LastingCall:
    """A call whose answer can be come back to."""

    name: str
    kind: str
    """Names the API's form."""
    call: Call
    content: Any
    """What the form needs besides."""
    ttl_s: float
    session: str = ""


def keep(service: Service, lasting: LastingCall, form: Form, timeout_s: float | None) -> float:
    """Start a call, and keep its answer from now on; the seconds that it may take. Raises
    Overloaded."""
    state, tenant = service.state, caller().tenant
    allowed_s = service.allowed_s(caller().origin.soonest(timeout_s))
    beginning = Beginning(
        lasting.name,
        tenant,
        lasting.kind,
        service.config.model_id,
        lasting.ttl_s,
        state.clock() + allowed_s,
        lasting.session,
    )
    answer_log = open_log(service, beginning, lasting)
    try:
        running = start(service, lasting.call, timeout_s, lasting.session, log=answer_log)
        parts = form(service, lasting.content, running)
        state.kept_answers.begin(lasting.name, tenant, parts, lasting.ttl_s, answer_log)
    except BaseException:
        if answer_log is not None:
            answer_log.remove()
        raise
    return running.allowed_s


def open_log(service: Service, beginning: Beginning, lasting: LastingCall) -> AnswerLog | None:
    """None where answers end with their router."""
    try:
        content = seal((lasting.call, lasting.content), shared_of(service))
    except (pickle.PicklingError, TypeError, AttributeError):
        log.exception("%s will not survive its router", lasting.name)
        return None
    return service.state.answer_logs.begin(beginning, content)


def revive(service: Service, answer_log: AnswerLog, form: Form) -> bool:
    """Go on with an answer whose router has died; False if that cannot be. After an error
    it may be tried again."""
    beginning, state = answer_log.beginning, service.state
    try:
        call, content = unseal(answer_log.content, shared_of(service))
    except Unsealable as error:
        log.error("%s cannot be gone on with: %s", beginning.name, error)
        answer_log.remove()
        return False
    left_s = max(SHORTEST_S, beginning.ends_at - state.clock())
    session = within_tenant(beginning.tenant, beginning.session)
    events = service.run(call, left_s, session, log=answer_log, again=True)
    running = StartedCall(events, left_s, answer_log)
    parts = form(service, content, running)
    try:
        state.kept_answers.begin(
            beginning.name, beginning.tenant, parts, beginning.ttl_s, answer_log, again=True
        )
    except BaseException:
        answer_log.leave()
        raise
    return True


def shared_of(service: Service) -> dict[str, object]:
    """What every router of this model has."""
    frontend = service.frontend
    return {"tokenizer": frontend.tokenizer, "templates": frontend.templates, "frontend": frontend}
