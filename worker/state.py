"""Who waits for which tokens: the stream-back thread delivers here."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from raylax.proto.call import Call
from raylax.proto.vocabulary import Delta, Load
from raylax.worker.engine import ThreadedEngine
from raylax.worker.trace import TraceRecorder

Deliver = Callable[[Delta], None]


@dataclass
class Timing:
    """Sums over calls, in seconds: for means, and for rates of change."""

    calls: int = 0
    ttft_s: float = 0.0
    tokens: int = 0
    itl_s: float = 0.0


@dataclass
class Listener:
    """One request's receiver. `deliver` is called on the stream-back thread."""

    deliver: Deliver
    begun: float
    last: float | None = None


@dataclass
class EngineState:
    """Listeners by request id; any thread may add and drop, one delivers."""

    trace: TraceRecorder | None = None
    _listeners: dict[str, Listener] = field(default_factory=dict)
    _calls: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _timing: Timing = field(default_factory=Timing)

    def listen(self, call: Call, deliver: Deliver) -> None:
        """Before the call's requests are submitted."""
        now = time.monotonic()
        with self._lock:
            self._calls[call.id] = [request.id for request in call.requests]
            for request in call.requests:
                self._listeners[request.id] = Listener(deliver, now)

    def leave(self, call: Call) -> None:
        """Nothing is delivered for this call any more."""
        with self._lock:
            for request_id in self._calls.pop(call.id, ()):
                self._listeners.pop(request_id, None)

    def abort(self, engine: ThreadedEngine, call_id: str) -> None:
        """Every request of the call; an unknown id is no error."""
        with self._lock:
            request_ids = tuple(self._calls.get(call_id, ()))
        for request_id in request_ids:
            engine.abort_request(request_id)

    def deliver(self, deltas: list[Delta], load: Load) -> None:
        now = time.monotonic()
        for delta in deltas:
            with self._lock:
                listener = self._listeners.get(delta.request_id)
            if listener is not None:
                self._time(listener, delta, now)
                listener.deliver(delta)

    def _time(self, listener: Listener, delta: Delta, now: float) -> None:
        if not delta.token_ids:
            return
        if listener.last is None:
            self._timing.calls += 1
            self._timing.ttft_s += now - listener.begun
        else:
            self._timing.tokens += len(delta.token_ids)
            self._timing.itl_s += now - listener.last
        listener.last = now

    def timings(self) -> dict[str, float]:
        t = self._timing
        return {
            "ttft_s_sum": t.ttft_s,
            "ttft_count": t.calls,
            "itl_s_sum": t.itl_s,
            "itl_count": t.tokens,
        }
