"""What happened to a call, as a client is told of it."""

from raylax.proto.timeline import (
    Candidate,
    Explanation,
    TimelineEvent,
    TimelineSnapshot,
    timeline_from_proto,
    timeline_to_proto,
)

TIMELINE = TimelineSnapshot(
    "call",
    (TimelineEvent(0.0, "admitted", ""), TimelineEvent(0.5, "sent", "w1")),
    (
        Explanation(
            "call/0/0",
            "least-tokens",
            chosen="w1",
            reason="7 tokens wait there",
            runner_up="w0",
            candidates=(
                Candidate("w1", 0.25, {"cost": 7.0, "requests": 1.0}),
                Candidate("w0", 0.5, {"cost": 9.0, "requests": 2.0}),
            ),
        ),
    ),
)


def test_a_timeline_is_the_same_after_its_way_to_a_client() -> None:
    """Its message has no id: who asks knows that."""
    assert timeline_from_proto(timeline_to_proto(TIMELINE), "call") == TIMELINE
