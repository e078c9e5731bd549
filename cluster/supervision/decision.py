"""What is to be done, from what was seen: a plain function, without a process and without a clock.

What Ray and Serve put right by themselves within seconds is left to them: controller, proxies,
replicas and HAProxy, once they are dead. A stopped process is not dead, so that everybody waits for
it; killed it is replaced. Where Ray itself has lost a part, or nobody answers for long, the cluster
is ended as a whole and started again. What has lost its parent is ended, too: nobody needs it but
HAProxy, which the next manager takes over.
"""

from dataclasses import dataclass

from raylax.cluster.supervision.roles import VITAL, Role

STOPPED_S = 2.0
"""How long a process may be stopped before it is as good as dead."""
ORPHANED_S = 10.0
"""How long a process may outlive its parent: most end with it, by themselves."""
UNANSWERED_S = 20.0
"""How long the front door may be silent. What dies is back within 15 s; this is for the rest."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the run."""

    pid: int
    role: Role
    stopped_s: float = 0.0
    """How long it has been stopped, if it is."""
    orphaned_s: float = 0.0
    """How long its parent has been dead, if it is."""

    def __str__(self) -> str:
        return f"{self.role} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a run at one moment."""

    stopped: tuple[Member, ...] = ()
    """The processes that are stopped."""
    orphans: tuple[Member, ...] = ()
    """Those whose parent has died."""
    dead: tuple[Member, ...] = ()
    """Of the vital ones, those that lived and do not any more."""
    unanswered_s: float = 0.0
    """How long nobody has answered at the front door; 0: the last question was answered."""
    without_worker_s: float = 0.0
    """How long routers have said that no worker is ready; 0: one is."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A process is to be killed; who looks after it starts another one."""

    member: Member
    why: str


@dataclass(frozen=True, slots=True)
class StartAgain:
    """The cluster is to be ended and started again."""

    why: str


def decide(seen: Observation, start_s: float) -> StartAgain | list[Kill]:
    """What is to be done now; mostly nothing. `start_s`: how long workers may take to start."""
    if seen.dead:
        return StartAgain(f"{listed(seen.dead)} died")
    hanging = tuple(member for member in seen.stopped if member.stopped_s > STOPPED_S)
    if vital := tuple(member for member in hanging if member.role in VITAL):
        return StartAgain(f"{listed(vital)} stopped for {STOPPED_S:g} s")
    if seen.unanswered_s > UNANSWERED_S:
        return StartAgain(f"nobody answered at the front door for {UNANSWERED_S:g} s")
    if seen.without_worker_s > start_s:
        return StartAgain(f"no worker was ready for limits.startup_timeout_s={start_s:g}")
    left = (member for member in seen.orphans if member.orphaned_s > ORPHANED_S)
    return [
        *(Kill(one, f"it was stopped for {STOPPED_S:g} s; another one comes") for one in hanging),
        *(Kill(one, "its parent has died") for one in left if one.role is not Role.HAPROXY),
    ]


def listed(members: tuple[Member, ...]) -> str:
    """Names of several, as in a sentence."""
    return " and ".join(map(str, members))
