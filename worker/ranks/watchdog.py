"""Finds the rank that died, hangs or failed, and ends its group: a thread of the leader."""

import json
import logging
import selectors
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from raylax.worker.ranks.control_channel import Kind
from raylax.worker.ranks.diagnosis import TIMEOUT_S, RankSample, further, verdict, where
from raylax.worker.ranks.member import Member
from raylax.worker.ranks.rank import Rank, RankPosition

log = logging.getLogger(__name__)
PING_S = 0.25
STACKS_S = 0.5
"""For the other ranks to say where they are, once one is lost."""
VERDICT_S = 2 * TIMEOUT_S
"""For this thread to name who was lost, when another one has noticed first that somebody was."""


class Watchdog:
    """Asks every member for a sign a few times a second, and reads what they send.

    When a rank is lost, whoever waits for it is let go; the others say where their threads are, in
    the log, and all processes are killed.
    """

    def __init__(
        self, rank: Rank, members: Sequence[Member], release: Callable[[str], None]
    ) -> None:
        """`release`: lets go whoever waits for a rank, with the reason."""
        self.fault: str | None = None
        """Which rank was lost, and how; None while all are there. Any thread may read it."""
        self._rank, self._members, self._release = rank, members, release
        self._named = threading.Event()  # `fault` is set, and the lost rank's peers were told
        self._closing = False
        self._step, self._begun = 0, 0.0  # the leader's, and when it was first seen
        self._thread = threading.Thread(target=self._watch, daemon=True, name="raylax-watch")

    def start(self) -> None:
        """Begin to watch; from now on nobody else reads the members' channels."""
        self._thread.start()

    def wait_for_fault(self) -> None:
        """Return when `fault` is known, or when that takes too long."""
        self._named.wait(VERDICT_S)

    def stop(self) -> None:
        """From now on a member that leaves is no fault."""
        self._closing = True

    def join(self) -> None:
        """Return when the thread has ended, soon after `stop` or a fault."""
        self._thread.join()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for member in self._members:
                member.moved = time.monotonic()
                selector.register(member.channel, selectors.EVENT_READ, member)
            ping_at = 0.0
            while not self._closing and self.fault is None:
                for key, _ in selector.select(PING_S):
                    self._receive(key.data)
                    while key.data.channel.waiting and self.fault is None:
                        self._receive(key.data)
                if (now := time.monotonic()) >= ping_at and self.fault is None:
                    ping_at = now + PING_S
                    self._check(now)

    def _receive(self, member: Member) -> None:
        try:
            kind, body = member.channel.receive()
        except (OSError, EOFError):
            if not self._closing:
                self._observe(member)
                self._lose(member.rank, f"has died, {where(member.position)}")
            return
        facts = json.loads(body) if body[:1] == b"{" else {}
        if kind is Kind.PONG:
            member.asked = None
            self._note(member, RankPosition(**facts))
        elif kind is Kind.FAILED:
            log.error("rank %d: %s", member.rank, facts["where"])
            self._observe(member)
            self._lose(member.rank, f"has failed, {where(member.position)}: {facts['error']}")

    def _note(self, member: Member, position: RankPosition) -> None:
        """Signs cross on their way: one that says less than is known is an old one."""
        if further(position, member.position):
            member.position, member.moved = position, time.monotonic()

    def _observe(self, member: Member) -> None:
        """What can be seen from here is fresher than its last sign."""
        own = self._rank.position()
        stage, shard = divmod(member.rank, self._rank.model.options.degree.tensor)
        if stage == 0 and own.running:
            self._note(member, self._rank.position(shard))
        elif own.step > member.position.step:
            self._note(member, RankPosition(own.step, None, own.running))

    def _check(self, now: float) -> None:
        """Ask everybody for a sign, and judge by the signs there are."""
        shards = self._rank.model.options.degree.tensor
        own = self._rank.position()
        if own.step != self._step:
            self._step, self._begun = own.step, now
        samples = [RankSample(0, 0, own)]
        for member in self._members:
            if member.rank < shards:
                self._observe(member)
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
        member = next((one for one in self._members if one.rank == rank), None)
        who = f"rank {rank}" + (f" (pid {member.pid} on {member.host})" if member else "")
        self.fault = f"{who} {words}"
        self._release(self.fault)
        self._named.set()
        stacks = "\n".join(self._ask_for_stacks(rank))
        log.error("%s\n%s", self.fault, stacks)
        for one in self._members:
            one.process.kill()

    def _ask_for_stacks(self, lost: int) -> Iterator[str]:
        others = [member for member in self._members if member.rank != lost]
        for member in others:
            with suppress(OSError):
                member.channel.send_json(Kind.OVER, why=self.fault)
        until = time.monotonic() + STACKS_S
        for member in others:
            member.channel.expect_within(max(0.01, until - time.monotonic()))
            with suppress(OSError, EOFError):
                while True:
                    kind, body = member.channel.receive()
                    if kind is Kind.STACKS:
                        yield f"rank {member.rank}:\n{body.decode()}"
                        break
