"""Who waits for which tokens: the stream-back thread delivers here."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from raylax.proto.calls.call import Call
from raylax.proto.vocabulary import Delta, Load
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.trace import TraceRecorder

log = logging.getLogger(__name__)
Deliver = Callable[[Delta], None]


@dataclass
class Timing:
    """Sums over requests, in seconds: for means, and for rates of change."""

    first_tokens: int = 0
    ttft_s: float = 0.0
    later_tokens: int = 0
    itl_s: float = 0.0


@dataclass
class RequestListener:
    """Who waits for the deltas of one request. `deliver` is called on the stream-back thread."""

    deliver: Deliver
    begun: float
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

    def listen(self, call: Call, deliver: Deliver) -> None:
        """Deliver the deltas of a call's requests from now on: to be called before they are
        submitted."""
        now = self.clock()
        with self._lock:
            self._calls[call.id] = [request.id for request in call.requests]
            for request in call.requests:
                self._listeners[request.id] = RequestListener(deliver, now)

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

    def deliver(self, deltas: list[Delta], load: Load) -> None:
        """Hand the deltas of a step to who listens. A listener that fails harms no other."""
        now = self.clock()
        with self._lock:
            heard = [(self._listeners.get(delta.request_id), delta) for delta in deltas]
        for listener, delta in heard:
            if listener is not None:
                self._time(listener, delta, now)
                try:
                    listener.deliver(delta)
                except Exception:
                    log.exception("%s cannot be told of its tokens", delta.request_id)

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
