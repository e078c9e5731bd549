"""From looks and answers to what is known."""

from raylax.cluster.supervision.decision import Member
from raylax.cluster.supervision.front_door import Answers
from raylax.cluster.supervision.observer import Observer
from raylax.cluster.supervision.processes import Process
from raylax.cluster.supervision.roles import Role

ROLES = {2: Role.RAYLET, 3: Role.ROUTER, 4: Role.GCS}
SERVES = Answers()


ROOT, DRIVER, ZYGOTE = 1, 5, 6


def process(pid: int, state: str = "S", started: int = 100, parent: int = 50) -> Process:
    return Process(pid, parent, state, started)


def observer() -> Observer:
    return Observer(
        [process(pid) for pid in ROLES], ROLES.__getitem__, ROOT, DRIVER, lambda: ZYGOTE
    )


def test_all_is_well() -> None:
    seen = observer().observe([process(2), process(3, "R"), process(4, "D")], SERVES, 10.0)

    assert (seen.stopped, seen.dead) == ((), ())
    assert (seen.unanswered_s, seen.without_worker_s) == (0.0, 0.0)


def test_a_vital_one_is_missed_and_another_one_is_not() -> None:
    seen = observer().observe([process(2)], SERVES, 10.0)

    assert seen.dead == (Member(4, Role.GCS),)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    seen = observer().observe([process(2, started=200), process(4)], SERVES, 10.0)

    assert seen.dead == (Member(2, Role.RAYLET),)


def test_how_long_a_process_has_been_stopped() -> None:
    """From the look that found it so; not by a debugger, and not after it went on meanwhile."""
    watch = observer()
    states = [("T", 0.0), ("T", 0.5), ("S", 1.0), ("T", 1.5), ("t", 2.0), ("T", 2.5), ("T", 3.0)]
    seen = [
        watch.observe([process(2), process(3, state), process(4)], SERVES, now).stopped
        for state, now in states
    ]

    assert [[m.stopped_s for m in stopped] for stopped in seen] == [
        [0.0], [0.5], [], [0.0], [], [0.0], [0.5],
    ]  # fmt: skip
    assert seen[0] == (Member(3, Role.ROUTER, 0.0),)


def test_how_long_a_process_has_been_without_its_parent() -> None:
    """The driver's own is at the terminal, and so is the zygote's."""
    watch = observer()
    own = [process(pid, parent=ROOT) for pid in (DRIVER, ZYGOTE)]
    others = [process(2), process(4), *own]
    seen = [
        watch.observe([*others, process(3, parent=parent)], SERVES, now).orphans
        for now, parent in ((0.0, 50), (0.5, ROOT), (1.5, ROOT))
    ]

    assert seen == [
        (),
        (Member(3, Role.ROUTER, orphaned_s=0.0),),
        (Member(3, Role.ROUTER, orphaned_s=1.0),),
    ]


def test_a_worker_needs_no_zygote_any_more() -> None:
    """Which has ended: the raylet looks after what it has forked. A later process of the same pid
    is another one."""
    watch = observer()
    looks = [(ZYGOTE, 100), (ROOT, 100), (ROOT, 100), (ROOT, 300)]
    seen = [
        watch.observe([process(3, parent=parent, started=started)], SERVES, 1.0).orphans
        for parent, started in looks
    ]

    assert seen == [(), (), (), (Member(3, Role.ROUTER),)]


def test_silence_and_idleness_have_a_length() -> None:
    everybody = [process(pid) for pid in ROLES]
    seen = observer().observe(everybody, Answers(silent_since=4.0, idle_since=1.0), 10.0)

    assert (seen.unanswered_s, seen.without_worker_s) == (6.0, 9.0)
