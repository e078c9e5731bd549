"""The queue before the batch: in order of service, found by id, its tokens counted."""

from collections import OrderedDict
from collections.abc import Iterator

from raylax.worker.sequence import Sequence


class Waiting:
    """Every operation takes the same time however long the queue is."""

    def __init__(self) -> None:
        self._sequences: OrderedDict[str, Sequence] = OrderedDict()
        self.tokens = 0
        """To compute, of all that wait; a sequence does not change while it waits."""

    def __len__(self) -> int:
        return len(self._sequences)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._sequences.values())

    def put_last(self, one: Sequence) -> None:
        self._sequences[one.request.id] = one
        self.tokens += len(one.tokens)

    def put_first(self, one: Sequence) -> None:
        self.put_last(one)
        self._sequences.move_to_end(one.request.id, last=False)

    def take(self, request_id: str) -> Sequence | None:
        """Out of the queue; None if it is not there."""
        one = self._sequences.pop(request_id, None)
        if one is not None:
            self.tokens -= len(one.tokens)
        return one
