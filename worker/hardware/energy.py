"""How much energy an engine's tokens take."""

from collections import deque

WINDOW_S = 60.0


class EnergyMeter:
    """Joules since the start, and for each generated token of the last minute. An engine that has
    a share of a GPU is charged that share of what the whole takes."""

    def __init__(self, share: float = 1.0) -> None:
        self.joules = 0.0
        """Since the first note."""
        self._share = share
        self._counter: float | None = None
        self._notes: deque[tuple[float, float, int]] = deque()  # when, joules then, tokens then

    def note(self, now: float, counter: float, tokens: int) -> None:
        """`counter`: joules of the devices, since whenever; `tokens`: generated since the start.
        `now` in seconds."""
        if self._counter is not None and counter > self._counter:
            self.joules += (counter - self._counter) * self._share
        self._counter = counter
        self._notes.append((now, self.joules, tokens))
        while len(self._notes) > 2 and self._notes[1][0] <= now - WINDOW_S:
            self._notes.popleft()

    @property
    def joules_per_token(self) -> float | None:
        """None while no token was generated within the window."""
        if not self._notes:
            return None
        _, before, first = self._notes[0]
        tokens = self._notes[-1][2] - first
        return (self._notes[-1][1] - before) / tokens if tokens > 0 else None
