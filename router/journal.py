"""Requests on their way: enough to continue each one elsewhere.

Prompt, parameters and the tokens emitted so far determine the rest of an answer (law 1).
"""

from dataclasses import dataclass, field, replace

from raylax.proto.vocabulary import Delta, Request


@dataclass
class Entry:
    request: Request
    worker: str
    emitted: list[int] = field(default_factory=list)
    moves: int = 0
    """How often its worker was lost."""

    def resumed(self) -> Request:
        """The request as another worker must see it to go on after the last emitted token."""
        return replace(self.request, history=(*self.request.history, *self.emitted))


class Journal:
    """Entries by request id, from submission to the end."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, request: Request, worker: str) -> None:
        self._entries[request.id] = Entry(request, worker)

    def moved(self, request_id: str, worker: str) -> None:
        entry = self._entries[request_id]
        entry.worker, entry.moves = worker, entry.moves + 1

    def record(self, delta: Delta) -> None:
        if (entry := self._entries.get(delta.request_id)) is not None:
            entry.emitted.extend(delta.token_ids)

    def find(self, request_id: str) -> Entry | None:
        return self._entries.get(request_id)

    def end(self, request_id: str) -> Entry | None:
        return self._entries.pop(request_id, None)
