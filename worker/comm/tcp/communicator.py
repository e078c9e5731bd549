"""Ranks on several hosts: a pair of TCP connections between every two, an allreduce by allgather.

Meant for few ranks: each sends its whole array to each other one.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from select import POLLIN, poll
from types import MappingProxyType
from typing import NoReturn, Self

import numpy as np

from raylax.worker.comm.arrays import add_in_order, check_parts, check_peer, flat
from raylax.worker.comm.base import Array
from raylax.worker.comm.deadline import Deadline
from raylax.worker.comm.errors import CLOSED, CommAborted, CommError
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.link import Link
from raylax.worker.comm.tcp.rendezvous import Rendezvous
from raylax.worker.comm.tcp.transfer import Incoming, Outgoing

Parcel = Outgoing | Incoming
LINE = 64
LAST_WORD_S = 0.2
"""How much later than the end of `data` the reason may come on `control`."""


class TcpCommunicator:
    """A `Communicator` over TCP. `lead` makes that of rank 0 and `join` those of the others; both
    return when all have come."""

    def __init__(self, links: Sequence[Link], rank: int, world: int, timeout_s: float) -> None:
        self.rank, self.world = rank, world
        self._timeout_s = timeout_s
        self._links = {link.rank: link for link in links}
        self._collective = 0
        self._sent = dict.fromkeys(self._links, 0)
        self._received = dict.fromkeys(self._links, 0)
        self._scratch = np.empty((world, 0), np.uint8)
        self._poll = poll()
        self._controls = {link.control.fileno(): link for link in links}
        for link in links:
            link.prepare()
            self._poll.register(link.control, POLLIN)
        self._reason: str | None = None
        self._closed = False
        self._end = threading.Lock()

    @classmethod
    def lead(
        cls,
        listener: Listener,
        world: int,
        secret: bytes,
        timeout_s: float,
        rendezvous_s: float | None = None,
    ) -> Self:
        """Rank 0's. The others must know `listener.address` and the secret.

        The rendezvous may take `rendezvous_s`, if given, else as long as any other wait. Raises
        CommError, CommTimeout.
        """
        deadline = Deadline.after(timeout_s if rendezvous_s is None else rendezvous_s)
        links = Rendezvous(0, world, secret, deadline).lead(listener)
        return cls(links, 0, world, timeout_s)

    @classmethod
    def join(
        cls,
        leader: str,
        rank: int,
        world: int,
        secret: bytes,
        timeout_s: float,
        host: str,
        rendezvous_s: float | None = None,
    ) -> Self:
        """Any other rank's. `leader` is the address at which rank 0 listens, `host` an address of
        this one, where the others reach it. Raises CommError, CommTimeout."""
        deadline = Deadline.after(timeout_s if rendezvous_s is None else rendezvous_s)
        links = Rendezvous(rank, world, secret, deadline).join(leader, host)
        return cls(links, rank, world, timeout_s)

    def __repr__(self) -> str:
        peers = ", ".join(f"rank {link.rank} at {link.host}" for link in self._links.values())
        return f"<rank {self.rank} of {self.world}, linked to {peers or 'nobody'}>"

    def subset(self, ranks: Sequence[int]) -> "TcpCommunicator":
        """A communicator of some of the ranks, this one among them, renumbered in this order.

        It uses the same connections, so that the end of one is the end of both. Each pair of ranks
        must use the two by turns in the same order.
        """
        place = {rank: at for at, rank in enumerate(ranks)}
        own = place[self.rank]
        links = [
            replace(link, own=own, rank=place[rank])
            for rank, link in self._links.items()
            if rank in place
        ]
        return TcpCommunicator(links, own, len(ranks), self._timeout_s)

    def allreduce(self, array: Array) -> None:
        ours = flat(array)
        parts = self._scratch_for(ours)
        np.copyto(parts[self.rank], ours)
        self._gather(parts)
        add_in_order(parts, out=ours)

    def allgather(self, parts: Sequence[Array]) -> None:
        check_parts(parts, self.rank, self.world)
        self._gather(parts)

    def broadcast(self, array: Array, root: int = 0) -> None:
        check_peer(root, self.world)
        self._collective += 1
        if self.rank == root:
            self._exchange(self._collective, outgoing=dict.fromkeys(self._links, array))
        else:
            self._exchange(self._collective, incoming={root: array})

    def barrier(self) -> None:
        self._gather([np.empty(0, np.uint8)] * self.world)

    def send(self, array: Array, to: int) -> None:
        check_peer(to, self.world, self.rank)
        self._sent[to] += 1
        self._exchange(-self._sent[to], outgoing={to: array})

    def recv(self, array: Array, source: int) -> None:
        check_peer(source, self.world, self.rank)
        self._received[source] += 1
        self._exchange(-self._received[source], incoming={source: array})

    def abort(self, reason: str) -> None:
        with self._end:
            if self._closed or self._reason is not None:
                return
            self._reason = reason
            for link in self._links.values():
                link.end(reason)

    def close(self) -> None:
        with self._end:
            self._closed = True
            for link in self._links.values():
                link.close()

    def _gather(self, parts: Sequence[Array]) -> None:
        self._collective += 1
        others = {other: parts[other] for other in self._links}
        ours = dict.fromkeys(others, parts[self.rank])
        self._exchange(self._collective, ours, others)

    def _exchange(
        self,
        number: int,
        outgoing: Mapping[int, Array] = MappingProxyType({}),
        incoming: Mapping[int, Array] = MappingProxyType({}),
    ) -> None:
        """All at once, so that it does not matter who sends first. `number`: see `transfer.py`."""
        self._check()
        self._listen(0)  # somebody may have ended the group since
        deadline = Deadline.after(self._timeout_s)
        parcels: list[Parcel] = [
            *(Outgoing(self._links[other], number, array) for other, array in outgoing.items()),
            *(Incoming(self._links[other], number, array) for other, array in incoming.items()),
        ]
        while parcels := [parcel for parcel in parcels if not self._advance(parcel)]:
            if not deadline.left_s:
                ranks = sorted({parcel.link.rank for parcel in parcels})
                self._fail(deadline.missed_by(ranks, parcels[0].omission))
            self._wait(parcels, deadline)

    def _advance(self, parcel: Parcel) -> bool:
        try:
            return parcel.advance()
        except CommError as error:
            self._fail(error)
        except OSError:
            self._check()
            self._fail(CommAborted(parcel.link.last_word(LAST_WORD_S) or gone(parcel.link.rank)))

    def _wait(self, parcels: Sequence[Parcel], deadline: Deadline) -> None:
        """Until one of them can go on, or it is late."""
        wanted: dict[int, int] = {}
        for parcel in parcels:
            data = parcel.link.data.fileno()
            wanted[data] = wanted.get(data, 0) | parcel.EVENTS
        for data, events in wanted.items():
            self._poll.register(data, events)
        self._listen(deadline.left_s)
        for data in wanted:
            self._poll.unregister(data)

    def _listen(self, patience_s: float) -> None:
        """Until anything comes; what somebody's control says is heeded here."""
        ready = self._poll.poll(patience_s * 1000)
        self._check()
        for control in self._controls.keys() & dict(ready):
            if word := self._controls[control].last_word(0):
                self._fail(CommAborted(word))
            self._poll.unregister(control)  # gone; it matters if we still want anything of it
            del self._controls[control]

    def _fail(self, error: CommError) -> NoReturn:
        """The others learn of it from us, if they do not know yet."""
        self.abort(str(error))
        raise error

    def _check(self) -> None:
        if self._closed:
            raise CommError(CLOSED)
        if self._reason is not None:
            raise CommAborted(self._reason)

    def _scratch_for(self, array: Array) -> list[Array]:
        """Room for what each rank brings."""
        if self._scratch.shape[1] < array.nbytes:
            self._scratch = np.empty((self.world, -(-array.nbytes // LINE) * LINE), np.uint8)
        return [row[: array.nbytes].view(array.dtype) for row in self._scratch]


def gone(rank: int) -> str:
    return f"rank {rank} is gone"
