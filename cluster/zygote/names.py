"""Names that Ray's core draws: each process seeds what it draws from when it does so for the first
time, and the children of one that has done so draw the same.

Serve draws when it is imported, for its classes of actors. In a zygote those come from elsewhere.
"""

import os

from ray import actor
from ray._raylet import ActorClassID, NodeID


class Drawn:
    """In place of Ray's type where it makes classes of actors."""

    @staticmethod
    def from_random() -> ActorClassID:
        """By the system's own generator."""
        return ActorClassID(os.urandom(ActorClassID.size()))


def seed_nothing() -> None:
    """From now on. To be called before Serve is imported."""
    actor.ActorClassID = Drawn


def children_draw_alike() -> bool:
    """Whether something has been drawn after all: two children are asked."""
    return drawn_by_a_child() == drawn_by_a_child()


def drawn_by_a_child() -> bytes:
    """The first name that a child of this process draws."""
    out, into = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(into, NodeID.from_random().binary())
        os._exit(0)
    os.close(into)
    with open(out, "rb") as file:
        drawn = file.read()
    os.waitpid(pid, 0)
    return drawn
