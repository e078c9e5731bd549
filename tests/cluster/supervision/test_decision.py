"""What is done about what: a table."""

import pytest

from raylax.cluster.supervision.decision import Kill, Member, Observation, StartAgain, decide
from raylax.cluster.supervision.roles import VITAL, Role

START_S = 600.0
STOPPED = "it was stopped for 2 s; another one comes"
OTHERS = sorted(set(Role) - VITAL)


def stopped(role: Role, seconds: float, pid: int = 7) -> Member:
    return Member(pid, role, seconds)


@pytest.mark.parametrize(
    "seen",
    [
        Observation(),
        Observation((stopped(Role.RAYLET, 1.9), stopped(Role.ROUTER, 1.9))),
        Observation(unanswered_s=19.0, without_worker_s=599.0),
    ],
)
def test_mostly_nothing_is_done(seen: Observation) -> None:
    assert decide(seen, START_S) == []


@pytest.mark.parametrize("role", OTHERS)
def test_what_is_stopped_and_started_again_by_others_is_killed(role: Role) -> None:
    """Whoever waits for it then sees that it is dead."""
    member = stopped(role, 2.1)

    assert decide(Observation((member,)), START_S) == [Kill(member, STOPPED)]
    assert str(member) == f"{role} (pid 7)"


@pytest.mark.parametrize("role", sorted(VITAL))
def test_the_cluster_starts_again_where_nobody_starts_a_part_again(role: Role) -> None:
    """Dead or stopped."""
    dead = decide(Observation(dead=(Member(7, role),)), START_S)
    hanging = decide(Observation((stopped(role, 2.1),)), START_S)

    assert dead == StartAgain(f"{role} (pid 7) died")
    assert hanging == StartAgain(f"{role} (pid 7) stopped for 2 s")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Observation(unanswered_s=20.1), "nobody answered at the front door for 20 s"),
        (
            Observation(without_worker_s=600.1),
            "no worker was ready for limits.startup_timeout_s=600",
        ),
        (
            Observation(dead=(Member(7, Role.RAYLET), Member(8, Role.GCS)), unanswered_s=30.0),
            "raylet (pid 7) and gcs_server (pid 8) died",
        ),
        (
            Observation((stopped(Role.ROUTER, 3.0), stopped(Role.GCS, 3.0, 8))),
            "gcs_server (pid 8)",
        ),
    ],
)
def test_it_starts_again_and_says_why(seen: Observation, why: str) -> None:
    """Then nothing else is done."""
    decision = decide(seen, START_S)

    assert isinstance(decision, StartAgain)
    assert decision.why.startswith(why)


@pytest.mark.parametrize("role", [Role.OTHER, Role.WORKER, Role.ROUTER])
def test_what_has_lost_its_parent_is_ended(role: Role) -> None:
    """Unless it ends by itself, soon."""
    young, old = (Member(7, role, orphaned_s=seconds) for seconds in (9.9, 10.1))

    assert decide(Observation(orphans=(young,)), START_S) == []
    assert decide(Observation(orphans=(old,)), START_S) == [Kill(old, "its parent has died")]


def test_haproxy_serves_on_without_its_manager() -> None:
    """Until the next one takes over from it."""
    left = Member(7, Role.HAPROXY, orphaned_s=100.0)

    assert decide(Observation(orphans=(left,)), START_S) == []


def test_all_that_hang_are_killed_at_once() -> None:
    hanging = stopped(Role.ROUTER, 2.1, 7), stopped(Role.WORKER, 9.0, 8)

    assert decide(Observation(hanging), START_S) == [Kill(member, STOPPED) for member in hanging]
