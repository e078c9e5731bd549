"""The ranks of one engine, led by rank 0: plans, pages and debug calls go out to all of them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from raylax.kernels.build import build
from raylax.kernels.errors import DeviceError
from raylax.kernels.model import PendingStep, StepOutput
from raylax.kernels.options import ProgressCallback
from raylax.worker.comm.base import Gatherer
from raylax.worker.comm.errors import CommError
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.errors import RankLost
from raylax.worker.hardware.watched_device import WatchedDevice
from raylax.worker.ranks import debug
from raylax.worker.ranks.control_channel import Kind
from raylax.worker.ranks.interconnect.base import Interconnect
from raylax.worker.ranks.loading import free_of, plan_rank
from raylax.worker.ranks.member import Member, disband
from raylax.worker.ranks.page_layout import PageParts, encoded
from raylax.worker.ranks.rank import Rank
from raylax.worker.ranks.startup import (
    Spawner,
    gather_members,
    load_ranks,
    share_of_memory,
)
from raylax.worker.ranks.watchdog import Watchdog
from raylax.worker.scheduling.step_plan import StepPlan

T = TypeVar("T")


class GroupStep:
    """A step that the devices of all ranks were given."""

    def __init__(self, pending: PendingStep, group: "RankGroup") -> None:
        self._pending, self._group = pending, group

    @property
    def is_last(self) -> bool:
        return self._pending.is_last

    @property
    def is_done(self) -> bool:
        """Raises EngineLost."""
        return self._group.attempt(lambda: self._pending.is_done)

    def output(self) -> StepOutput:
        """Raises EngineLost."""
        output = self._group.attempt(self._pending.output)
        if self.is_last:
            self._group.rank.rest()
        return output


class RankGroup:
    """The executor of an engine of several ranks: rank 0, which is here, leads the others.

    The engine thread runs and calls, the watchdog's thread watches, any thread may read `fault`.
    """

    def __init__(
        self,
        rank: Rank,
        interconnect: Interconnect,
        debug_group: Gatherer,
        members: list[Member],
        sizes: Sizes,
    ) -> None:
        """The members have loaded; they are ours now. `debug_group`: what debug calls travel by."""
        self.rank, self.members, self.sizes = rank, members, sizes
        self.submit = self._submit if rank.submits else None
        self._given: GroupStep | None = None
        self._interconnect, self._debug_group = interconnect, debug_group
        self._parts = PageParts(rank)
        self._watchdog = Watchdog(rank, members, partial(release, interconnect, debug_group))
        self._device = WatchedDevice(rank.model.options.device)
        self._watchdog.start()

    @classmethod
    def load(
        cls, config: EngineConfig, device: str, progress: ProgressCallback, spawner: Spawner
    ) -> "RankGroup":
        """Start the other ranks, size, build, load on all. `config` names its model and its mode.

        Raises ConfigError, KernelsError, EngineStartError.
        """
        plan_rank(config, device)  # the user's mistakes, before anything starts
        members = gather_members(spawner, device, config)
        try:
            available = None
            if device.startswith("cuda"):
                available = share_of_memory(members, spawner.host, free_of(config, device))
            elif config.kv_cache_bytes is None:
                available = share_of_memory(members, spawner.host)
            options, sizes = plan_rank(config, device, available)
            build(config.checkpoint, options, sizes.pages, progress=progress)
            loaded = load_ranks(config, options, sizes.pages, members, spawner)
            return cls(*loaded, members, sizes)
        except BaseException:
            disband(members)
            raise

    def run(self, plan: StepPlan) -> StepOutput:
        """Run a step on all ranks. Raises EngineLost; the group is then over."""
        output = self._together(Kind.PLAN, plan.encode(), lambda: self.rank.run(plan))
        assert output is not None
        return output

    def _submit(self, plan: StepPlan) -> "GroupStep":
        pending = self._together(Kind.PLAN, plan.encode(), lambda: self.rank.submit(plan))
        self._given = GroupStep(pending, self)
        return self._given

    def read_pages(self, pages: Sequence[int]) -> list[bytes]:
        """Gather pages from the ranks that have parts of them. Raises EngineLost."""
        self._settle()
        return self._together(Kind.READ, encoded(pages), lambda: self._parts.read(pages))

    def write_pages(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        """Share pages out among the ranks. Raises EngineLost, and before ValueError if one is no
        page of this model."""
        self._parts.check(contents)
        self._settle()
        self._together(Kind.WRITE, encoded(pages), lambda: self._parts.write(pages, contents))

    def _settle(self) -> None:
        """What devices were given is done, before ranks speak of something else: who waits for his
        device does not come. Raises EngineLost."""
        if self._given is not None and self._given.is_last:
            self._given.output()

    def _together(self, kind: Kind, body: bytes, ours: Callable[[], T]) -> T:
        """Tell the other ranks what to do, and do our part of it. Raises EngineLost."""

        def act() -> T:
            for member in self.members:
                member.channel.send(kind, body)
            return ours()

        return self.attempt(act)

    def attempt(self, ours: Callable[[], T]) -> T:
        """Our part of what all ranks do. Raises EngineLost: whatever keeps us from it, the others
        have done theirs, or wait for us."""
        try:
            with self._device:
                result = ours()
            error = self._interconnect.way.error
        except (CommError, DeviceError, OSError) as raised:
            error = raised
        if error is not None:
            self._watchdog.wait_for_fault()
        if self.fault is not None or error is not None:
            raise RankLost(self.fault or str(error))
        return result

    def call(self, name: str, args: Sequence[Any]) -> list[Any]:
        """A debug function on every rank; each one's result, or the exception that it raised.
        Raises EngineLost."""
        debug.check_for_others(name, args)  # before the others wait for a call that never comes
        self._settle()
        for member in self.members:
            member.channel.send(Kind.CALL)
        return debug.call(self.rank, name, args, self._debug_group)

    def describe(self) -> list[dict[str, Any]]:
        """Where the other ranks are."""
        return [
            {"rank": one.rank, "host": one.host, "pid": one.pid, "cores": one.cores}
            | ({"gpu": one.gpu} if one.gpu else {})
            for one in self.members
        ]

    @property
    def fault(self) -> str | None:
        """Which rank or device was lost, and how; None while all are there."""
        return self._device.fault or self._watchdog.fault

    def close(self) -> None:
        """End all other ranks: afterwards no process is left, and no memory is held."""
        self._watchdog.stop()
        for member in self.members:
            with suppress(OSError):
                member.channel.send_json(Kind.OVER, why="the engine has ended")
        self._watchdog.join()
        self._interconnect.end("the engine has ended")
        disband(self.members)
        if self._given is not None and self._given.is_last:
            with suppress(Exception):
                self._given.output()
        self._given = None  # which has us: nobody should have to find that out to free a device
        self._interconnect.close()


def release(interconnect: Interconnect, debug_group: Gatherer, reason: str) -> None:
    """Whoever waits for a rank, on whichever rank, is let go."""
    interconnect.end(reason)
    debug_group.abort(reason)
