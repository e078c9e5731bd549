"""How far a stream has come, so that it can go on after its connection was lost."""

from collections.abc import Iterable
from dataclasses import dataclass

from raylax.proto.client.errors import FailedCall, error_of, is_broken
from raylax.proto.client.replies import Reply, part
from raylax.proto.client.values import Part
from raylax.proto.pb import raylax_pb2 as pb

SHORTEST_S, LONGEST_S = 0.05, 1.0
"""Pauses between two tries: each is twice the one before."""


@dataclass
class StreamPosition:
    """Decides when and where a broken stream goes on; whoever reads it waits, and asks again."""

    resume_ttl_s: float | None
    """How long the router keeps the answer for a client that is gone; None: it does not."""
    id: str = ""
    sequence: int = 0
    _broken_at: float | None = None
    _pause_s: float = SHORTEST_S

    def learn_id(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
        """The call's id is in the metadata that come before the first reply."""
        named = dict(metadata or ()).get("call-id")
        if isinstance(named, str):
            self.id = named

    def take(self, reply: Reply | pb.ResumedReply) -> Part:
        """The part in a reply; from now on the stream has come as far as this."""
        if isinstance(reply, pb.ResumedReply):
            reply = reply.chat if reply.HasField("chat") else reply.generate
        self.id, self.sequence = reply.id, reply.sequence
        self._broken_at, self._pause_s = None, SHORTEST_S
        return part(reply)

    def pause_s(self, error: FailedCall, now: float) -> float:
        """How long to wait before asking for the rest. Raises the error where that is of no use."""
        if self._broken_at is None:
            self._broken_at = now
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_S)
        if self.resume_ttl_s is None or not self.id or not is_broken(error):
            raise error_of(error) from None
        if now + pause_s > self._broken_at + self.resume_ttl_s:
            raise error_of(error) from None
        return pause_s

    @property
    def rest(self) -> pb.ResumeRequest:
        """What asks for all that comes after the last reply that arrived."""
        return pb.ResumeRequest(id=self.id, after_sequence=self.sequence)


@dataclass(frozen=True)
class Deadline:
    """When a call ends, over all its tries."""

    at: float | None

    @classmethod
    def after(cls, timeout_s: float | None, now: float) -> "Deadline":
        return cls(None if timeout_s is None else now + timeout_s)

    def left_s(self, now: float) -> float | None:
        """Seconds until then; None: any time."""
        return None if self.at is None else max(0.0, self.at - now)
