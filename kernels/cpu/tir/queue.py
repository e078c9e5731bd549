"""The work queue: one launch of the thread pool for a whole step, regions of tasks inside it.

TVM's own barrier waits for every *thread* to arrive, so a thread that lost its core holds up all
others for a time slice, many times a step. Here a region waits for its *tasks*: each worker walks
a contiguous range of its own, then helps the others, and holds at most the task it is in.
"""

import contextlib
from collections.abc import Iterator, Sequence

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.program import LINE
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import Expr, Register, imported

SPINS, YIELDS = 200, 1000
"""How often a thread that waits looks again at once, and then after yielding its core."""


def waiting(name: str, arguments: str, check: str) -> str:
    """LLVM IR of a function that waits: it spins, then yields the core, then sleeps 20 us at a
    time. `check` branches to %out when what it waits for is there, else to %wait."""
    return f"""
declare i32 @sched_yield()
declare i32 @usleep(i32)
define i32 @{name}({arguments}, i32 %spins, i32 %yields) {{
entry:
  br label %check
check:
  %i = phi i32 [ 0, %entry ], [ %next, %again ]
{check}
wait:
  %spin = icmp slt i32 %i, %spins
  br i1 %spin, label %pause, label %slow
pause:
  call void asm sideeffect "PAUSE", ""()
  br label %again
slow:
  %limit = add i32 %spins, %yields
  %yield = icmp slt i32 %i, %limit
  br i1 %yield, label %give, label %sleep
give:
  %a = call i32 @sched_yield()
  br label %again
sleep:
  %b = call i32 @usleep(i32 20)
  br label %again
again:
  %next = add i32 %i, 1
  br label %check
out:
  ret i32 0
}}
"""


# TIR has no atomics and no clock, LLVM IR has. 1 is CLOCK_MONOTONIC of Linux. An aligned variable
# makes LLVM align the whole frame: otherwise registers that are spilled may lie across two pages,
# by how deep the caller's stack happens to be, and products of many rows take a fifth longer.
QUEUE_IR = """
declare i32 @clock_gettime(i32, ptr)
define i64 @raylax_now() {
  %t = alloca { i64, i64 }
  %r = call i32 @clock_gettime(i32 1, ptr %t)
  %p = getelementptr { i64, i64 }, ptr %t, i32 0, i32 1
  %s = load i64, ptr %t
  %n = load i64, ptr %p
  %w = mul i64 %s, 1000000000
  %all = add i64 %w, %n
  ret i64 %all
}
define void @raylax_align_frame() alwaysinline {
  %line = alloca [64 x i8], align 64
  call void asm sideeffect "", "r"(ptr %line)
  ret void
}
define i32 @raylax_add(ptr %p, i32 %by) alwaysinline {
  %old = atomicrmw add ptr %p, i32 %by acq_rel
  ret i32 %old
}
""" + waiting(
    "raylax_wait",
    "ptr %p, i32 %n",
    """  %now = load atomic i32, ptr %p acquire, align 4
  %done = icmp sge i32 %now, %n
  br i1 %done, label %out, label %wait""",
)


class Queue:
    """Regions of independent tasks, each finished before the next begins.

    There is room for some blocks of one region of each name. counters: int32[at least regions,
    LINE * (workers + 1)]: a line for each worker's range and one for the completions; `launch`
    zeroes them. ends: int64[regions + 1]: when the first worker left each region, in ns, 0 where it
    was never; the last one is when the launch began. How many regions and workers there are is
    read from the shapes, so that the code is the same for any. What is divided is never negative:
    TVM does not know, and takes minutes to simplify divisions that round downwards.
    """

    def __init__(self, counters: Expr, ends: Expr, names: Sequence[str], cpu: CPU) -> None:
        self.counters, self.ends, self.names, self.cpu = counters, ends, names, cpu
        self.first: Expr = 0

    @contextlib.contextmanager
    def launch(self) -> Iterator[None]:
        """Everything inside runs on every worker; only regions share work out."""
        self.regions = T.Bind(self.ends.shape[0] - 1)
        self.workers = T.Bind(T.truncdiv(self.counters.shape[1], LINE) - 1)
        with T.serial(0, self.regions) as region:
            T.buffer_store(self.ends, T.int64(0), [region])
            with T.serial(0, self.workers + 1) as line:
                T.buffer_store(self.counters, T.int32(0), [region, line * LINE])
        with imported(QUEUE_IR.replace("PAUSE", self.cpu.pause)):
            self._note_time(self.regions)
            with T.parallel(0, self.workers) as worker:
                self.worker = worker
                T.evaluate(T.call_extern("void", "raylax_align_frame"))
                yield

    def at(self, block: Expr) -> None:
        """The next regions belong to this block: loops over layers set it."""
        self.first = block * len(self.names)

    def _call(self, name: str, *args: Expr) -> Expr:
        return T.call_extern("int32", name, *args)

    def _note_time(self, index: Expr) -> None:
        T.buffer_store(self.ends, T.call_extern("int64", "raylax_now"), [index])

    @contextlib.contextmanager
    def region(self, name: str, tasks: Expr) -> Iterator[Expr]:
        """Yields the index of one task; its body is emitted once, and run for all of them."""
        index = self.first + self.names.index(name)
        share = T.Bind(T.truncdiv(tasks + (self.workers - 1), self.workers))
        finished = Register(T.int32(0), "int32")
        done = T.address_of(self.counters[index, self.workers * LINE])
        with T.serial(0, self.workers) as turn:
            owner = T.Bind(T.truncmod(self.worker + turn, self.workers))
            size = T.Bind(T.max(T.min(tasks - owner * share, share), 0))
            claim = T.address_of(self.counters[index, owner * LINE])
            mine = Register(self._call("raylax_add", claim, T.int32(1)), "int32")
            with T.serial(0, share), T.If(mine.get() < size), T.Then():
                yield T.Bind(owner * share + mine.get())
                finished.set(finished.get() + 1)
                mine.set(self._call("raylax_add", claim, T.int32(1)))
        with T.If(finished.get() > 0), T.Then():
            T.evaluate(self._call("raylax_add", done, finished.get()))
        T.evaluate(self._call("raylax_wait", done, tasks, T.int32(SPINS), T.int32(YIELDS)))
        with T.If(self.worker == 0), T.Then():
            self._note_time(index)

    @contextlib.contextmanager
    def dealt(self, name: str, tasks: Expr) -> Iterator[Expr]:
        """A region whose tasks are dealt like cards: every worker begins with its longest one."""
        share = T.Bind(T.truncdiv(tasks + (self.workers - 1), self.workers))
        with self.region(name, share * self.workers) as i:
            task = T.Bind(T.truncmod(i, share) * self.workers + T.truncdiv(i, share))
            with T.If(task < tasks), T.Then():
                yield task
