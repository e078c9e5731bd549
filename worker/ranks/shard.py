"""A rank that is not the leader: it joins, loads its part of the model, and runs plans.

One thread runs, another listens: so the leader is answered at any time, and when the leader is gone
or says that all is over, the running thread is let go from whatever it waits for.
"""

import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raylax.kernels.build import load_part
from raylax.kernels.model import PendingStep
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from raylax.worker.comm.base import Gatherer
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.cores import keep_to_own_cores
from raylax.worker.hardware.devices import memory_of, uuid_of
from raylax.worker.hardware.watched_device import WatchedDevice
from raylax.worker.ranks import debug
from raylax.worker.ranks.control_channel import ControlChannel, Kind
from raylax.worker.ranks.interconnect.base import Interconnect, InterconnectAddress, join
from raylax.worker.ranks.interconnect.seating import seating_of
from raylax.worker.ranks.page_layout import PageParts, decoded
from raylax.worker.ranks.rank import Rank, RankPosition
from raylax.worker.scheduling.step_plan import StepPlan

log = logging.getLogger(__name__)
LOOK_S = 0.005
"""Between two looks at a device that has something to do."""
AHEAD = 2
"""Steps that a device is given at once, as many as the leader does."""
GRACE_S = 2.0
"""For the running thread to come to its end; then the process ends anyway."""
JoinDebugGroup = Callable[[str, int, int], Gatherer]
"""(name, rank, world) -> this rank's end of the group that debug calls travel by."""


@dataclass(frozen=True)
class Invitation:
    """What a shard must know to join its engine. The secret is for its process alone."""

    host: str
    port: int
    secret: str
    rank: int
    device: str = "cpu"
    """The leader's: a shard on a GPU sees its own, and no other."""
    gpus: float = 1.0
    """How much of a GPU it has."""
    utilization: float | None = None
    """How much of that it may use, as `gpu_memory_utilization` says."""


def device_of_a_shard(leaders: str) -> str:
    """What a shard calls its device."""
    return "cuda:0" if leaders.startswith("cuda") else leaders


@dataclass(frozen=True)
class Assignment:
    """What a rank is to load."""

    checkpoint: str
    options: ModelOptions
    pages: int
    interconnect: InterconnectAddress
    pin_threads: bool
    debug_group: str
    """Name of the group that debug calls travel by, where that is not the ranks' own."""

    def encode(self) -> bytes:
        """As a message of the control channel."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, body: bytes) -> "Assignment":
        """The assignment that `encode` made these bytes of."""
        facts = json.loads(body)
        options = facts["options"]
        facts["options"] = ModelOptions(**{**options, "degree": Degree(**options["degree"])})
        return cls(**facts)


class Shard:
    """Body of a shard's process: joins the leader, loads what it says, and runs what it sends."""

    def __init__(
        self,
        invitation: Invitation,
        host: str,
        join_debug_group: JoinDebugGroup | None = None,
    ) -> None:
        """`host`: where it runs, as the leader knows hosts."""
        self._invitation, self._host, self._join_debug_group = invitation, host, join_debug_group
        self._inbox: queue.SimpleQueue[tuple[Kind, bytes] | None] = queue.SimpleQueue()
        self._rank: Rank | None = None
        self._interconnect: Interconnect | None = None
        self._debug_group: Gatherer | None = None
        self._given: deque[PendingStep] = deque()
        """Steps that the device has; of the running thread."""
        self._over: str | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Work until the engine is over. Raises RankLost when its leader cannot be reached."""
        invitation = self._invitation
        secret = bytes.fromhex(invitation.secret)
        self._channel = ControlChannel.connect(invitation.host, invitation.port, secret)
        device = device_of_a_shard(invitation.device)
        facts = {"host": self._host, "pid": os.getpid(), "gpu": uuid_of(device)}
        try:
            facts["memory"] = memory_of(device, invitation.gpus, invitation.utilization)
        except ConfigError as error:
            facts["error"] = str(error)
        self._channel.send_json(Kind.HELLO, rank=invitation.rank, **facts)
        threading.Thread(target=self._listen, daemon=True, name="raylax-listen").start()
        try:
            self._work()
        except Exception as error:
            if self._over is None:
                log.exception("rank %d has failed", invitation.rank)
                failure = {
                    "error": f"{type(error).__name__}: {error}",
                    "where": traceback.format_exc(),
                }
                self._report(Kind.FAILED, failure)
                self._inbox.get()  # the leader's word that all is over
        finally:
            self._given.clear()
            self._rank = None
            self._ended.set()

    def _work(self) -> None:
        if (first := self._inbox.get()) is None:
            return
        self._load(Assignment.decode(first[1]))
        assert self._rank is not None and self._debug_group is not None
        parts, device = PageParts(self._rank), WatchedDevice(self._rank.model.options.device)
        while True:
            with device:
                if (task := self._next()) is None:
                    return
                self._carry_out(*task, parts)

    def _next(self) -> tuple[Kind, bytes] | None:
        """The next task, None at the end. Until it comes, it is seen how the device gets on: what
        goes wrong there is told to nobody who waits for it."""
        while self._given:
            try:
                return self._inbox.get(timeout=LOOK_S)
            except queue.Empty:
                if self._given[0].is_done:
                    self._finish(len(self._given) - 1)
        return self._inbox.get()

    def _finish(self, left: int) -> None:
        """Wait for steps that the device was given, until it has so many."""
        while len(self._given) > left:
            self._given.popleft().output()
        if not self._given and self._rank is not None:
            self._rank.rest()

    def _carry_out(self, kind: Kind, body: bytes, parts: PageParts) -> None:
        assert self._rank is not None and self._debug_group is not None
        if kind is Kind.PLAN and self._rank.submits:
            self._finish(AHEAD - 1)
            self._given.append(self._rank.submit(StepPlan.decode(body)))
            return
        self._finish(0)
        if kind is Kind.PLAN:
            self._rank.run(StepPlan.decode(body))
            if self._interconnect and (error := self._interconnect.way.error):
                raise error
        elif kind is Kind.READ:
            parts.read(decoded(body))
        elif kind is Kind.WRITE:
            parts.write(decoded(body))
        elif kind is Kind.CALL:
            debug.take_part(self._rank, self._debug_group)

    def _load(self, assignment: Assignment) -> None:
        options = assignment.options
        rank, world = self._invitation.rank, options.degree.ranks
        cores = keep_to_own_cores(options.threads).ids if assignment.pin_threads else ()
        checkpoint = Path(assignment.checkpoint)
        seating = seating_of(checkpoint, options)
        self._interconnect = join(assignment.interconnect, seating, rank, self._host)
        if self._over is not None:
            self._interconnect.end(self._over)
        seat = self._interconnect.seat
        model = load_part(checkpoint, options, assignment.pages, seat)
        self._rank = Rank.of_several(model, self._interconnect.group)
        self._channel.send_json(Kind.READY, cores=cores)
        self._interconnect.way.meet()
        if self._join_debug_group is None:
            self._debug_group = self._interconnect.group
        else:
            self._debug_group = self._join_debug_group(assignment.debug_group, rank, world)

    # On the listening thread

    def _listen(self) -> None:
        why = "the leader is gone"
        try:
            while True:
                kind, body = self._channel.receive()
                if kind is Kind.PING:
                    self._report(Kind.PONG, self._position()._asdict())
                elif kind is Kind.OVER:
                    why = json.loads(body)["why"]
                    self._channel.send(Kind.STACKS, stacks().encode())
                    break
                else:
                    self._inbox.put((kind, body))
        except (OSError, EOFError):
            pass
        self._end(why)

    def _position(self) -> RankPosition:
        return self._rank.position() if self._rank is not None else RankPosition()

    def _end(self, why: str) -> None:
        self._over = why
        if self._interconnect is not None:
            self._interconnect.end(why)
        if self._debug_group is not None:
            self._debug_group.abort(why)
        self._inbox.put(None)
        if not self._ended.wait(GRACE_S):
            os._exit(1)

    def _report(self, kind: Kind, facts: dict[str, Any]) -> None:
        try:
            self._channel.send_json(kind, **facts)
        except OSError as error:
            log.warning("the leader cannot be told: %s", error)


def stacks() -> str:
    """The stack of every thread of this process, as text for a log."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )
