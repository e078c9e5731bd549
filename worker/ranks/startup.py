"""From a configuration to ranks that are ready: alone, or a group that joins over a socket."""

import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from raylax.kernels.build import build, load_whole
from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import load_model
from raylax.kernels.model import StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback, silent
from raylax.worker.comm.base import Gatherer
from raylax.worker.config import EngineConfig, Mode, Sizes
from raylax.worker.errors import EngineStartError, RankLost
from raylax.worker.hardware.memory import available_memory
from raylax.worker.ranks import debug
from raylax.worker.ranks.control_channel import ControlChannel, Kind
from raylax.worker.ranks.interconnect import lead
from raylax.worker.ranks.leader import (
    LIMIT_S,
    Member,
    Process,
    RankGroup,
    disband,
)
from raylax.worker.ranks.loading import (
    complete,
    degree_of,
    plan_rank,
)
from raylax.worker.ranks.rank import Rank
from raylax.worker.ranks.shard import Assignment, Invitation
from raylax.worker.scheduling.step_plan import StepPlan

JOIN_S = 120.0
"""For a shard's process to start, perhaps on another machine."""
LOAD_S = 600.0
"""For a shard to load; on a host of its own it may have to compile."""


class Spawner(Protocol):
    """Makes the processes of shards."""

    host: str
    """Of the leader, as shards reach it. Hosts are told apart by these names."""

    def spawn(self, invitation: Invitation) -> Process: ...

    def join_debug_group(self, name: str, world: int) -> Gatherer | None:
        """The leader's end of the group that debug calls travel by; None: the ranks' own."""
        ...


class Executor(Protocol):
    """What an engine runs its plans on."""

    fault: str | None

    def run(self, plan: StepPlan) -> StepOutput: ...

    def call(self, name: str, args: Sequence[Any]) -> list[Any]: ...

    def describe(self) -> list[dict[str, Any]]: ...

    def read_pages(self, pages: Sequence[int]) -> list[bytes]:
        """Keys and values of each, laid out as `page_parts` says."""
        ...

    def write_pages(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        """What `read_pages` gave, of an engine of the same model, whatever the number of its ranks.
        ValueError for what cannot be that."""
        ...

    def close(self) -> None: ...


class SingleRank:
    """A rank alone."""

    fault: str | None = None

    def __init__(self, rank: Rank) -> None:
        self.rank = rank

    def run(self, plan: StepPlan) -> StepOutput:
        output = self.rank.run(plan)
        assert output is not None
        return output

    def call(self, name: str, args: Sequence[Any]) -> list[Any]:
        return debug.call(self.rank, name, args)

    def describe(self) -> list[dict[str, Any]]:
        return []

    def read_pages(self, pages: Sequence[int]) -> list[bytes]:
        return [self.rank.model.read_page(page) for page in pages]

    def write_pages(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        for page, content in zip(pages, contents, strict=True):
            self.rank.model.write_page(page, content)

    def close(self) -> None:
        """Nothing to do: its memory goes with it."""


@dataclass(frozen=True)
class LoadedEngine:
    """Ready to serve."""

    executor: Executor
    config: EngineConfig
    """Complete."""
    sizes: Sizes
    vocab: int


def assemble(
    checkpoint: Path,
    device: str,
    mode: Mode,
    config: EngineConfig,
    progress: ProgressCallback,
    spawner: Spawner,
) -> LoadedEngine:
    """Size, build and load on every rank. Raises ConfigError, KernelsError, EngineStartError."""
    if degree_of(config).ranks == 1:
        options, sizes = plan_rank(checkpoint, device, mode, config)
        alone = load_whole(checkpoint, options, sizes.pages, progress)
        ready = complete(config, checkpoint, mode, sizes, alone)
        return LoadedEngine(SingleRank(Rank(alone)), ready, sizes, alone.spec.vocab)
    plan_rank(checkpoint, device, mode, config)  # the user's mistakes, before anything starts
    members = gather(degree_of(config).ranks, spawner)
    try:
        available = share_of_memory(members, spawner.host)
        options, sizes = plan_rank(checkpoint, device, mode, config, available)
        build(checkpoint, options, sizes.pages, progress=progress)
        group = load(checkpoint, options, sizes.pages, config, members, spawner)
    except BaseException:
        disband(members)
        raise
    model = group.rank.model
    try:
        ready = complete(config, checkpoint, mode, sizes, model)
    except BaseException:
        group.close()
        raise
    return LoadedEngine(group, ready, sizes, model.spec.vocab)


def share_of_memory(members: Sequence[Member], here: str) -> int:
    """Bytes that a rank may count on: of the host that has least for each of its ranks."""
    ranks = Counter([here, *(member.host for member in members)])
    left = {here: available_memory(), **{member.host: member.memory for member in members}}
    return min(left[host] // count for host, count in ranks.items())


def gather(world: int, spawner: Spawner) -> list[Member]:
    """The members of a new group, in order of rank. Raises EngineStartError."""
    secret, until = secrets.token_bytes(32), time.monotonic() + JOIN_S
    with socket.create_server((spawner.host, 0), backlog=world) as server:
        port = server.getsockname()[1]
        invited = {
            rank: spawner.spawn(Invitation(spawner.host, port, secret.hex(), rank))
            for rank in range(1, world)
        }
        joined: dict[int, Member] = {}
        server.settimeout(0.1)
        try:
            while missing := invited.keys() - joined:
                if time.monotonic() > until:
                    raise EngineStartError(f"rank {min(missing)} did not start within {JOIN_S:g} s")
                if gone := [rank for rank in missing if not invited[rank].alive]:
                    raise EngineStartError(f"rank {min(gone)} ended while it started")
                with suppress(TimeoutError, RankLost):
                    one = greet(server, secret, invited)
                    joined[one.rank] = one
        except BaseException:
            for process in invited.values():
                process.kill()
            raise
    return [joined[rank] for rank in sorted(joined)]


def greet(server: socket.socket, secret: bytes, invited: dict[int, Process]) -> Member:
    """Who comes next. Raises TimeoutError when nobody does, RankLost for a stranger."""
    channel = ControlChannel.accept(server.accept()[0], secret)
    try:
        _, body = channel.receive()
        facts = json.loads(body)
        rank = facts.pop("rank")
    except (OSError, EOFError, ValueError) as error:
        channel.close()
        raise RankLost(f"a rank left while it joined: {error}") from error
    return Member(rank, invited[rank], channel, **facts)


def load(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    config: EngineConfig,
    members: list[Member],
    spawner: Spawner,
) -> RankGroup:
    """On all ranks at once. Raises EngineStartError, in the words of the rank that failed."""
    world, name = options.degree.ranks, f"raylax-{secrets.token_hex(8)}"
    artefacts = Artefacts(checkpoint, options, None, silent)
    hosts = [spawner.host, *(member.host for member in members)]
    with lead(artefacts, hosts) as (address, connect):
        for member in members:
            said = Assignment(str(checkpoint), options, pages, address, config.pin_threads, name)
            member.channel.send(Kind.ASSIGN, said.encode())
        interconnect = connect()
        model = load_model(checkpoint, options, pages, seat=interconnect.seat)
        for member in members:
            await_ready(member)
        debug_group = spawner.join_debug_group(name, world) or interconnect.group
    return RankGroup(Rank.of_several(model, interconnect.group), interconnect, debug_group, members)


def await_ready(member: Member) -> None:
    member.channel.expect_within(LOAD_S)
    try:
        kind, body = member.channel.receive()
    except (OSError, EOFError) as error:
        raise EngineStartError(f"rank {member.rank} ended while it loaded: {error}") from error
    facts = json.loads(body)
    if kind is not Kind.READY:
        raise EngineStartError(f"rank {member.rank}: {facts['error']}")
    member.cores = tuple(facts["cores"])
    member.channel.expect_within(LIMIT_S)
