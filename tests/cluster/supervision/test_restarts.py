"""How often a cluster is started again."""

from raylax.cluster.supervision.restarts import Restarts


def test_so_many_within_so_long() -> None:
    times = [0.0, 10.0, 20.0, 119.0, 120.0, 129.0, 130.0, 131.0]
    restarts = Restarts(iter(times).__next__, most=2, within_s=120.0)

    assert [restarts.take() for _ in times] == [True, True, False, False, True, False, True, False]
    assert restarts.rule == "2 restarts within 2 minutes"
