"""Who waits for which tokens: the stream-back thread delivers here, by one of two callbacks."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from raylax.proto.calls.call import Call
from raylax.proto.errors import InvalidRequest
from raylax.proto.vocabulary import Delta, Load
from raylax.worker.engine.outputs import StepCallback
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.trace import TraceRecorder

log = logging.getLogger(__name__)
Deliver = Callable[[Delta], None]
Kind = Literal["async", "sync"]
"""Of engines: whether calls are awaited."""


@dataclass
class Timing:
    """Sums over requests, in seconds: for means, and for rates of change."""

    first_tokens: int = 0
    ttft_s: float = 0.0
    later_tokens: int = 0
    itl_s: float = 0.0


@dataclass
class RequestListener:
    """Who waits for the deltas of one request. `deliver` is called on the stream-back thread, or on
    its loop if it has one."""

    deliver: Deliver
    begun: float
    loop: asyncio.AbstractEventLoop | None = None
    last: float | None = None


@dataclass
class EngineState:
    """Who listens to which requests, and how long their tokens took. Any thread may add and drop
    listeners, one delivers."""

    trace: TraceRecorder | None = None
    clock: Callable[[], float] = time.monotonic
    _listeners: dict[str, RequestListener] = field(default_factory=dict)
    _calls: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    """Re-entrant, because a stream that is dropped leaves wherever the collector runs."""
    _timing: Timing = field(default_factory=Timing)

    def __len__(self) -> int:
        """Requests that are listened for."""
        return len(self._listeners)

    def request_stream_callback(self, kind: Kind) -> StepCallback:
        """What an engine of this kind calls after each step."""
        return self.async_callback if kind == "async" else self.sync_callback

    def listen(
        self, call: Call, deliver: Deliver, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """Deliver the deltas of a call's requests from now on, on this loop: to be called before
        they are submitted. Raises InvalidRequest for a name that another call has."""
        now = self.clock()
        with self._lock:
            if call.id in self._calls:
                raise InvalidRequest(
                    f"request_id: {call.id!r} is the id of a call that runs", param="request_id"
                )
            self._calls[call.id] = [request.id for request in call.requests]
            for request in call.requests:
                self._listeners[request.id] = RequestListener(deliver, now, loop)

    def leave(self, call: Call) -> None:
        """Deliver nothing for this call any more."""
        with self._lock:
            for request_id in self._calls.pop(call.id, ()):
                self._listeners.pop(request_id, None)

    def abort(self, engine: ThreadedEngine, call_id: str) -> None:
        """Abort every request of the call; an unknown id is no error. Raises EngineNotReady in a
        forked child."""
        engine.process.check()
        with self._lock:
            request_ids = tuple(self._calls.get(call_id, ()))
        for request_id in request_ids:
            engine.abort_request(request_id)

    def sync_callback(self, deltas: list[Delta], load: Load) -> None:
        """Hand the deltas of a step to who listens. A listener that fails harms no other."""
        for listener, delta in self._heard(deltas):
            tell(listener.deliver, delta)

    def async_callback(self, deltas: list[Delta], load: Load) -> None:
        """As `sync_callback`, on the listeners' loops: each is woken once for a step, however many
        listen there. If one was closed meanwhile, nobody is left to hear."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Deliver, Delta]]] = {}
        for listener, delta in self._heard(deltas):
            if listener.loop is None:
                tell(listener.deliver, delta)
            else:
                by_loop.setdefault(listener.loop, []).append((listener.deliver, delta))
        for loop, pairs in by_loop.items():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell_all, pairs)

    def _heard(self, deltas: list[Delta]) -> list[tuple[RequestListener, Delta]]:
        """Which of them somebody listens to."""
        now = self.clock()
        with self._lock:
            listeners = [self._listeners.get(delta.request_id) for delta in deltas]
        heard = [(one, d) for one, d in zip(listeners, deltas, strict=True) if one is not None]
        for listener, delta in heard:
            self._time(listener, delta, now)
        return heard

    def _time(self, listener: RequestListener, delta: Delta, now: float) -> None:
        if not delta.token_ids:
            return
        if listener.last is None:
            self._timing.first_tokens += 1
            self._timing.ttft_s += now - listener.begun
        else:
            self._timing.later_tokens += len(delta.token_ids)
            self._timing.itl_s += now - listener.last
        listener.last = now

    def timings(self) -> dict[str, float]:
        """The sums by the names that `metrics` gives them."""
        t = self._timing
        return {
            "ttft_s_sum": t.ttft_s,
            "ttft_count": t.first_tokens,
            "itl_s_sum": t.itl_s,
            "itl_count": t.later_tokens,
        }


def tell_all(pairs: list[tuple[Deliver, Delta]]) -> None:
    """Hand the deltas of a step to the listeners of one loop, on it."""
    for deliver, delta in pairs:
        tell(deliver, delta)


def tell(deliver: Deliver, delta: Delta) -> None:
    """Hand a delta to its listener, whose failure is its own."""
    try:
        deliver(delta)
    except Exception:
        log.exception("%s cannot be told of its tokens", delta.request_id)
