"""What ranks agree on before they load."""

import socket

import pytest

from raylax.worker.ranks import startup
from raylax.worker.ranks.control_channel import ControlChannel
from raylax.worker.ranks.member import Member
from raylax.worker.ranks.startup import share_of_memory


class NoProcess:
    """A process of which nothing is asked."""

    alive = True

    def kill(self) -> None:
        raise AssertionError("nobody asked for its end")


def member(rank: int, host: str, memory: int) -> Member:
    channel = ControlChannel(socket.socket())
    channel.close()
    return Member(rank, NoProcess(), channel, host, pid=rank, memory=memory)


@pytest.mark.parametrize(
    ("others", "share"),
    [
        ([("here", 900)], 450),
        ([("here", 900), ("there", 400)], 400),
        ([("there", 600), ("there", 600), ("there", 600)], 200),
        ([("there", 5000)], 1000),
    ],
)
def test_a_rank_counts_on_the_host_that_has_least_for_each(
    monkeypatch: pytest.MonkeyPatch, others: list[tuple[str, int]], share: int
) -> None:
    """Ranks of one host share its memory; whoever came last knows best how much there is."""
    monkeypatch.setattr(startup, "available_memory", lambda: 1000)
    members = [member(1 + at, *facts) for at, facts in enumerate(others)]

    assert share_of_memory(members, "here") == share


def test_a_rank_on_a_gpu_counts_on_its_own() -> None:
    """Sizes are those of the GPU that has least, wherever others lie."""
    members = [member(1, "here", 900), member(2, "here", 700)]

    assert share_of_memory(members, "here", 800) == 700
    assert share_of_memory(members, "here", 600) == 600
