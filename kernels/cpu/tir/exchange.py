"""Where the shards of a stage meet, inside the launch: partial sums and logits change hands here.

Every shard has a slice of the `slices` and a line of the `flags`. It writes its slice, puts the
number of the meeting into its line, waits until all lines have come to that number, and reads all
slices, always in the same order: so all shards have the same bits. Meetings take turns between two
sets of slices; a shard that is late for one can still read it while the others write for the next.

The memory may be shared among processes; then that is all. Otherwise the first worker makes a call
(`Exchange.call`), which carries slices to where the others are, and sets their flags here.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import Expr
from raylax.kernels.cpu.tir.queue import SPINS, YIELDS, Queue, waiting

FLAGS = 8
"""int64 in a cache line. Behind the shards' lines is one that says that the group is over."""

# As in the queue: TIR has no atomics. `come` also returns when the group is over.
EXCHANGE_IR = """
define i32 @raylax_publish(ptr %p, i64 %number) alwaysinline {
  store atomic i64 %number, ptr %p release, align 8
  ret i32 0
}
define i32 @raylax_over(ptr %over) alwaysinline {
  %v = load atomic i64, ptr %over acquire, align 8
  %set = icmp ne i64 %v, 0
  %r = zext i1 %set to i32
  ret i32 %r
}
define i32 @raylax_call(i64 %address, i64 %number, i32 %kind, i32 %rows) {
  %f = inttoptr i64 %address to ptr
  %r = call i32 %f(i64 %number, i32 %kind, i32 %rows)
  ret i32 %r
}
""" + waiting(
    "raylax_come",
    "ptr %p, i64 %number, ptr %over",
    """  %now = load atomic i64, ptr %p acquire, align 8
  %done = icmp sge i64 %now, %number
  br i1 %done, label %out, label %more
more:
  %v = load atomic i64, ptr %over acquire, align 8
  %ended = icmp ne i64 %v, 0
  br i1 %ended, label %out, label %wait""",
)


@dataclass
class Meeting:
    """One meeting: where its slices lie."""

    number: Expr
    turn: Expr
    """Which of the two sets of slices."""


@dataclass
class Exchange:
    """The meetings of one stage of several shards. Buffers: slices f32[2, shards, tokens, hidden],
    flags int64[shards + 1, FLAGS], clock int64[1] = meetings before this launch, call int64[1] =
    the address of int call(int64 meeting, int kind, int rows), or 0."""

    queue: Queue
    b: dict[str, Any]
    shards: int
    shard: Expr
    rows: Expr

    @contextlib.contextmanager
    def unless_over(self) -> Iterator[None]:
        """What is inside is left out once the group is over. Workers may see that at different
        moments: a region is finished by whoever comes to it."""
        over = T.call_extern("int32", "raylax_over", self._line(self.shards))
        with T.If(over == 0), T.Then():
            yield

    def meeting(self, number: Expr) -> Meeting:
        """The launch's `number`-th meeting, counted from 1."""
        absolute = T.Bind(self.b["clock"][0] + T.cast(number, "int64"))
        turn = T.cast(T.bitwise_and(absolute, T.int64(1)), "int32")
        return Meeting(absolute, T.Bind(turn))

    def meet(self, meeting: Meeting, kind: int) -> None:
        """Returns when every shard has come; everything stored before is then visible to all."""
        address = T.Bind(self.b["call"][0])
        with T.If(self.queue.worker == 0), T.Then():
            with T.If(address != T.int64(0)), T.Then():
                said = (address, meeting.number, T.int32(kind), self.rows)
                T.evaluate(T.call_extern("int32", "raylax_call", *said))
            mine = self._line(self.shard)
            T.evaluate(T.call_extern("int32", "raylax_publish", mine, meeting.number))
        with T.serial(0, self.shards) as other:
            wait = (self._line(other), meeting.number, self._line(self.shards))
            limits = T.int32(SPINS), T.int32(YIELDS)
            T.evaluate(T.call_extern("int32", "raylax_come", *wait, *limits))

    def _line(self, shard: Expr) -> Expr:
        return T.address_of(self.b["flags"].buffer[shard, 0])
