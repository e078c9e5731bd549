"""The queue: order, places by id, and the count of tokens."""

from raylax.proto.vocabulary import Request
from raylax.worker.sequence import Sequence
from raylax.worker.waiting import Waiting


def sequence(id: str, tokens: int) -> Sequence:
    return Sequence(Request(id, tuple(range(tokens)), 1))


def test_in_order_but_for_those_who_were_preempted() -> None:
    """They had their turn before all others."""
    queue = Waiting()
    for one in (sequence("a", 3), sequence("b", 4)):
        queue.put_last(one)
    queue.put_first(sequence("preempted", 5))

    assert [one.request.id for one in queue] == ["preempted", "a", "b"]
    assert (len(queue), queue.tokens) == (3, 12)


def test_anybody_can_leave() -> None:
    queue = Waiting()
    for one in (sequence("a", 3), sequence("b", 4), sequence("c", 5)):
        queue.put_last(one)
    taken = queue.take("b")

    assert taken is not None and taken.request.id == "b"
    assert queue.take("b") is None
    assert ([one.request.id for one in queue], queue.tokens) == (["a", "c"], 8)
