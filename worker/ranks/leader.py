"""The ranks of one engine, led by rank 0: plans go out, and whoever stops is found and named."""

import json
import logging
import selectors
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from raylax.kernels.build import build
from raylax.kernels.model import StepOutput
from raylax.kernels.options import ProgressCallback
from raylax.worker.comm.base import Gatherer
from raylax.worker.comm.errors import CommError
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.errors import RankLost
from raylax.worker.ranks import debug
from raylax.worker.ranks.control_channel import Kind
from raylax.worker.ranks.interconnect import Interconnect
from raylax.worker.ranks.loading import checkpoint_of, degree_of, plan_rank
from raylax.worker.ranks.member import Member, disband
from raylax.worker.ranks.page_layout import PageParts, encoded
from raylax.worker.ranks.rank import Rank, RankPosition
from raylax.worker.ranks.startup import (
    Spawner,
    gather_members,
    load_ranks,
    share_of_memory,
)
from raylax.worker.ranks.watchdog import (
    TIMEOUT_S,
    RankSample,
    further,
    verdict,
    where,
)
from raylax.worker.scheduling.step_plan import StepPlan

log = logging.getLogger(__name__)
T = TypeVar("T")
PING_S = 0.25
STACKS_S = 0.5
"""For the other ranks to say where they are, once one is lost."""
VERDICT_S = 2 * TIMEOUT_S
"""For the watching thread to name who was lost, when the running one has noticed first."""


class RankGroup:
    """The engine thread runs and calls, a thread of its own watches, anybody may read `fault`."""

    def __init__(
        self,
        rank: Rank,
        interconnect: Interconnect,
        debug_group: Gatherer,
        members: list[Member],
        sizes: Sizes,
    ) -> None:
        """The members are ready. `debug_group`: what debug calls travel by."""
        self.rank, self.members, self.sizes = rank, members, sizes
        self.fault: str | None = None
        """Which rank was lost, and how; None while all are there."""
        self._interconnect, self._debug_group = interconnect, debug_group
        self._parts = PageParts(rank)
        self._named = threading.Event()  # `fault` is set, and the lost rank's peers were told
        self._closing = False
        self._step, self._begun = 0, 0.0  # the leader's, and when it was first seen
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="raylax-watch")
        self._watcher.start()

    @classmethod
    def load(
        cls, config: EngineConfig, device: str, progress: ProgressCallback, spawner: Spawner
    ) -> "RankGroup":
        """Start the other ranks, size, build, load on all. `config` names its model and its mode.

        Raises ConfigError, KernelsError, EngineStartError.
        """
        plan_rank(config, device)  # the user's mistakes, before anything starts
        members = gather_members(degree_of(config).ranks, spawner)
        try:
            available = share_of_memory(members, spawner.host)
            options, sizes = plan_rank(config, device, available)
            build(checkpoint_of(config), options, sizes.pages, progress=progress)
            loaded = load_ranks(config, options, sizes.pages, members, spawner)
            return cls(*loaded, members, sizes)
        except BaseException:
            disband(members)
            raise

    def run(self, plan: StepPlan) -> StepOutput:
        """Raises RankLost; the group is then over."""
        output = self._together(Kind.PLAN, plan.encode(), lambda: self.rank.run(plan))
        assert output is not None
        return output

    def read_pages(self, pages: Sequence[int]) -> list[bytes]:
        """Raises RankLost, as `run` does."""
        return self._together(Kind.READ, encoded(pages), lambda: self._parts.read(pages))

    def write_pages(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        """Raises RankLost; ValueError before, if one is no page of this model."""
        self._parts.check(contents)
        self._together(Kind.WRITE, encoded(pages), lambda: self._parts.write(pages, contents))

    def _together(self, kind: Kind, body: bytes, ours: Callable[[], T]) -> T:
        """What the other ranks are told to do, and our part of it."""
        try:
            for member in self.members:
                member.channel.send(kind, body)
            result = ours()
            error = self._interconnect.error
        except (CommError, OSError) as raised:
            error = raised
        if error is not None:
            self._named.wait(VERDICT_S)
        if self.fault is not None or error is not None:
            raise RankLost(self.fault or str(error))
        return result

    def call(self, name: str, args: Sequence[Any]) -> list[Any]:
        """A debug function on every rank; each one's result, or the exception that it raised."""
        debug.check_for_others(name, args)  # before the others wait for a call that never comes
        for member in self.members:
            member.channel.send(Kind.CALL)
        return debug.call(self.rank, name, args, self._debug_group)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {"rank": one.rank, "host": one.host, "pid": one.pid, "cores": one.cores}
            for one in self.members
        ]

    def close(self) -> None:
        """No process is left, no memory is held."""
        self._closing = True
        for member in self.members:
            with suppress(OSError):
                member.channel.say(Kind.OVER, why="the engine has ended")
        self._watcher.join()
        self._interconnect.end("the engine has ended")
        disband(self.members)
        self._interconnect.close()

    # On the watching thread

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for member in self.members:
                member.moved = time.monotonic()
                selector.register(member.channel, selectors.EVENT_READ, member)
            ping_at = 0.0
            while not self._closing and self.fault is None:
                for key, _ in selector.select(PING_S):
                    self._hear(key.data)
                if (now := time.monotonic()) >= ping_at and self.fault is None:
                    ping_at = now + PING_S
                    self._look_around(now)

    def _hear(self, member: Member) -> None:
        try:
            kind, body = member.channel.receive()
        except (OSError, EOFError):
            if not self._closing:
                self._look_at(member)
                self._lose(member.rank, f"has died, {where(member.position)}")
            return
        facts = json.loads(body) if body[:1] == b"{" else {}
        if kind is Kind.PONG:
            member.asked = None
            self._see(member, RankPosition(**facts))
        elif kind is Kind.FAILED:
            log.error("rank %d: %s", member.rank, facts["where"])
            self._look_at(member)
            self._lose(member.rank, f"has failed, {where(member.position)}: {facts['error']}")

    def _see(self, member: Member, position: RankPosition) -> None:
        """Signs cross on their way: one that says less than is known is an old one."""
        if further(position, member.position):
            member.position, member.moved = position, time.monotonic()

    def _look_at(self, member: Member) -> None:
        """What can be seen from here is fresher than its last sign."""
        own = self.rank.position()
        stage, shard = divmod(member.rank, self.rank.model.options.degree.tensor)
        if stage == 0 and own.running:
            self._see(member, self.rank.position(shard))
        elif own.step > member.position.step:
            self._see(member, RankPosition(own.step, None, own.running))

    def _look_around(self, now: float) -> None:
        """Ask everybody for a sign, and judge by the signs there are."""
        shards = self.rank.model.options.degree.tensor
        own = self.rank.position()
        if own.step != self._step:
            self._step, self._begun = own.step, now
        samples = [RankSample(0, 0, own)]
        for member in self.members:
            if member.rank < shards:
                self._look_at(member)
            still, silent = now - max(member.moved, self._begun), 0.0
            if member.asked is not None:
                silent = now - member.asked
            else:
                member.asked = now
                with suppress(OSError):  # it is gone: we shall hear of it
                    member.channel.send(Kind.PING)
            stage = member.rank // shards
            samples.append(RankSample(member.rank, stage, member.position, still, silent))
        if (found := verdict(samples, TIMEOUT_S)) is not None:
            self._lose(*found)

    def _lose(self, rank: int, words: str) -> None:
        """The end of the group: every rank is let go, says where it was, and is killed."""
        member = next((one for one in self.members if one.rank == rank), None)
        who = f"rank {rank}" + (f" (pid {member.pid} on {member.host})" if member else "")
        self.fault = f"{who} {words}"
        self._interconnect.end(self.fault)
        self._debug_group.abort(self.fault)
        self._named.set()
        said = "\n".join(self._ask_for_stacks(rank))
        log.error("%s\n%s", self.fault, said)
        for one in self.members:
            one.process.kill()

    def _ask_for_stacks(self, lost: int) -> Iterator[str]:
        others = [member for member in self.members if member.rank != lost]
        for member in others:
            with suppress(OSError):
                member.channel.say(Kind.OVER, why=self.fault)
        until = time.monotonic() + STACKS_S
        for member in others:
            member.channel.expect_within(max(0.01, until - time.monotonic()))
            with suppress(OSError, EOFError):
                while True:
                    kind, body = member.channel.receive()
                    if kind is Kind.STACKS:
                        yield f"rank {member.rank}:\n{body.decode()}"
                        break
