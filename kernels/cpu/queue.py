"""The work queue: one launch of the thread pool for a whole step, regions of tasks inside it.

TVM's own barrier waits for every *thread* to arrive, so a thread that lost its core holds up all
others for a time slice, many times a step. Here a region waits for its *tasks*: each worker walks
a contiguous range of its own, then helps the others, and holds at most the task it is in.
"""

import contextlib
from collections.abc import Iterator

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.emit import Expr, Register

LINE = 16  # int32 in a cache line: counters of different workers share none

# TIR has no atomics, LLVM IR has. `wait` spins, then yields the core, then sleeps 20 us at a time.
QUEUE_IR = """
declare i32 @sched_yield()
declare i32 @usleep(i32)
define i32 @raylax_add(ptr %p, i32 %by) alwaysinline {
  %old = atomicrmw add ptr %p, i32 %by acq_rel
  ret i32 %old
}
define i32 @raylax_wait(ptr %p, i32 %n, i32 %spins, i32 %yields) {
entry:
  br label %check
check:
  %i = phi i32 [ 0, %entry ], [ %next, %again ]
  %now = load atomic i32, ptr %p acquire, align 4
  %done = icmp sge i32 %now, %n
  br i1 %done, label %out, label %more
more:
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
}
"""
SPINS, YIELDS = 200, 1000


class Queue:
    """Regions of independent tasks, each finished before the next begins.

    counters: int32[regions, LINE * (workers + 1)]: a line for each worker's range and one for the
    completions. They are zeroed by `launch`.
    """

    def __init__(self, counters: Expr, regions: int, workers: int, pause: str) -> None:
        self.counters, self.regions, self.workers, self.pause = counters, regions, workers, pause
        self.next: Expr = 0

    @contextlib.contextmanager
    def launch(self) -> Iterator[None]:
        """Everything inside runs on every worker; only regions share work out."""
        with T.serial(0, self.regions) as region, T.serial(0, self.workers + 1) as line:
            T.buffer_store(self.counters, T.int32(0), [region, line * LINE])
        code = QUEUE_IR.replace("PAUSE", self.pause)
        with T.attr(T.int32(0), "pragma_import_llvm", code), T.parallel(0, self.workers) as worker:
            self.worker = worker
            yield

    def at(self, region: Expr) -> None:
        """The next region uses the counters of this index: loops over layers set it."""
        self.next = region

    def _call(self, name: str, *args: Expr) -> Expr:
        return T.call_extern("int32", name, *args)

    @contextlib.contextmanager
    def region(self, tasks: Expr) -> Iterator[Expr]:
        """Yields the index of one task; its body is emitted once, and run for all of them."""
        index, self.next = self.next, self.next + 1
        share = T.Bind(T.floordiv(tasks + (self.workers - 1), self.workers))
        finished = Register(T.int32(0), "int32")
        done = T.address_of(self.counters[index, self.workers * LINE])
        with T.serial(0, self.workers) as turn:
            owner = T.Bind(T.floormod(self.worker + turn, self.workers))
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
