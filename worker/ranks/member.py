"""A rank that is not the leader, as its leader sees it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from raylax.worker.ranks.control_channel import ControlChannel
from raylax.worker.ranks.rank import RankPosition

END_S = 3.0
"""For a shard to end by itself."""


class Process(Protocol):
    """The process that a shard runs in."""

    @property
    def alive(self) -> bool:
        """False once it has ended."""
        ...

    def kill(self) -> None:
        """End it at once; once it has ended, nothing happens."""
        ...


@dataclass
class Member:
    """A shard as its leader sees it."""

    rank: int
    process: Process
    channel: ControlChannel
    host: str
    pid: int
    memory: int
    """Bytes that its host, or its GPU, had left when it joined."""
    gpu: str = ""
    """Its GPU's UUID; empty on a CPU."""
    cores: tuple[int, ...] = ()
    position: RankPosition = RankPosition()
    asked: float | None = None
    """When the ping was sent that has had no answer yet; None: every ping has had one."""
    moved: float = 0.0
    """When `position` was last seen to change."""


def disband(members: Sequence[Member]) -> None:
    """End these ranks. They end by themselves when they hear no more of their leader; those that do
    not are killed."""
    for member in members:
        member.channel.close()
    until = time.monotonic() + END_S
    for member in members:
        while member.process.alive and time.monotonic() < until:
            time.sleep(0.01)
        member.process.kill()
