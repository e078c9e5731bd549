"""How the ranks of an engine come together: processes are started, join over a socket, and load."""

import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from raylax.kernels.build import load_part
from raylax.kernels.options import ModelOptions
from raylax.worker.comm.base import Gatherer
from raylax.worker.comm.errors import CommError
from raylax.worker.config import EngineConfig
from raylax.worker.errors import EngineStartError
from raylax.worker.hardware.memory import available_memory
from raylax.worker.ranks.control_channel import POLL_S, Kind, Reception
from raylax.worker.ranks.diagnosis import TIMEOUT_S
from raylax.worker.ranks.interconnect.base import Interconnect, lead
from raylax.worker.ranks.interconnect.seating import seating_of
from raylax.worker.ranks.loading import degree_of
from raylax.worker.ranks.member import Member, Process
from raylax.worker.ranks.rank import Rank
from raylax.worker.ranks.shard import Assignment, Invitation, device_of_a_shard

JOIN_S = 120.0
"""For a shard's process to start, perhaps on another machine."""
LOAD_S = 600.0
"""For a shard to load; on a host of its own it may have to compile."""


class Spawner(Protocol):
    """Starts the processes of an engine's ranks beyond the first."""

    host: str
    """The leader's host, as shards reach it. Hosts are told apart by these names."""

    def check_gpus(self, device: str, world: int) -> None:
        """Raises ConfigError where there is none for each rank; `device`: the leader's."""
        ...

    def spawn(self, invitation: Invitation) -> Process:
        """Start the process of the rank that is invited; it joins by itself. On GPUs it sees its
        own, and no other."""
        ...

    def join_debug_group(self, name: str, world: int) -> Gatherer | None:
        """The leader's end of the group that debug calls travel by; None: the ranks' own."""
        ...


def share_of_memory(members: Sequence[Member], here: str, own: int | None = None) -> int:
    """Bytes that a rank may count on, on the host that has least for each of its ranks. `here`:
    the leader's host; `own`: what the leader's GPU has for it, where each rank has one."""
    if own is not None:
        return min(own, *(member.memory for member in members))
    ranks = Counter([here, *(member.host for member in members)])
    left = {here: available_memory(), **{member.host: member.memory for member in members}}
    return min(left[host] // count for host, count in ranks.items())


def gather_members(spawner: Spawner, device: str, config: EngineConfig) -> list[Member]:
    """Start the processes of all ranks but the leader's; the members, in order of rank, once all of
    them have come. `device`: the leader's. Raises EngineStartError."""
    world, gpus = degree_of(config).ranks, (config.gpus_per_rank, config.gpu_memory_utilization)
    spawner.check_gpus(device, world)
    secret, until = secrets.token_bytes(32), time.monotonic() + JOIN_S
    server = socket.create_server((spawner.host, 0))
    with Reception(server, secret) as reception:
        port = server.getsockname()[1]
        invited: dict[int, Process] = {}
        joined: dict[int, Member] = {}
        try:
            for rank in range(1, world):
                place = spawner.host, port, secret.hex()
                invited[rank] = spawner.spawn(Invitation(*place, rank, device, *gpus))
            while missing := invited.keys() - joined:
                if time.monotonic() > until:
                    raise EngineStartError(f"rank {min(missing)} did not start within {JOIN_S:g} s")
                if gone := [rank for rank in missing if not invited[rank].alive]:
                    raise EngineStartError(f"rank {min(gone)} ended while it started")
                if (arrival := reception.next(POLL_S)) is not None:
                    rank = arrival.facts.pop("rank")
                    if (error := arrival.facts.get("error")) is not None:
                        raise EngineStartError(f"rank {rank}: {error}")
                    joined[rank] = Member(rank, invited[rank], arrival.channel, **arrival.facts)
        except BaseException:
            for process in invited.values():
                process.kill()
            raise
    return [joined[rank] for rank in sorted(joined)]


def load_ranks(
    config: EngineConfig,
    options: ModelOptions,
    pages: int,
    members: list[Member],
    spawner: Spawner,
) -> tuple[Rank, Interconnect, Gatherer]:
    """Load the model on all ranks at once: rank 0, which is here, how it reaches the others, and
    the group that debug calls travel by. What has to be built is in the store.

    Raises EngineStartError, in the words of the rank that failed.
    """
    checkpoint, world = config.checkpoint, options.degree.ranks
    name = f"raylax-{secrets.token_hex(8)}"
    hosts = [spawner.host, *(member.host for member in members)]
    with lead(seating_of(checkpoint, options), hosts) as (address, connect):
        theirs = replace(options, device=device_of_a_shard(options.device))
        assignment = Assignment(
            str(checkpoint), theirs, pages, address, config.pin_threads, name
        ).encode()
        for member in members:
            member.channel.send(Kind.ASSIGN, assignment)
        interconnect = connect()
        model = load_part(checkpoint, options, pages, interconnect.seat)
        for member in members:
            await_ready(member)
        try:
            interconnect.way.meet()
        except CommError as error:
            raise EngineStartError(f"the ranks did not meet: {error}") from error
        debug_group = spawner.join_debug_group(name, world) or interconnect.group
    return Rank.of_several(model, interconnect.group), interconnect, debug_group


def await_ready(member: Member) -> None:
    """Return when the member has loaded. Raises EngineStartError, in its words if it failed."""
    member.channel.expect_within(LOAD_S)
    try:
        kind, body = member.channel.receive()
    except (OSError, EOFError) as error:
        raise EngineStartError(f"rank {member.rank} ended while it loaded: {error}") from error
    facts = json.loads(body)
    if kind is not Kind.READY:
        raise EngineStartError(f"rank {member.rank}: {facts['error']}")
    member.cores = tuple(facts["cores"])
    member.channel.expect_within(TIMEOUT_S)
