"""The last events of an engine."""

from raylax.worker.event_ring import EventRing


def test_old_events_make_room_and_are_counted() -> None:
    ring = EventRing(most=3)
    for i in range(5):
        ring.add(i)

    assert (ring.events, ring.dropped) == ([2, 3, 4], 2)
