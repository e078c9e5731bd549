"""The engine thread: it takes commands, and runs steps while anybody has one to run.

It alone touches the model, the batch and the pages. What a command or a step came to goes to the
output queue, and how the engine stands then to where all can see it.
"""

import logging
from collections.abc import Callable

from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.worker.engine.commands import CommandQueue
from raylax.worker.engine.model.loading import LoadedModel
from raylax.worker.engine.model.slot import ModelSlot
from raylax.worker.engine.operations import Operations
from raylax.worker.engine.teller import Teller
from raylax.worker.errors import EngineLost
from raylax.worker.scheduling.outcomes import StepFailed

log = logging.getLogger(__name__)


class Loop:
    """Body of the engine thread, which calls `run`, or `turn` again and again."""

    def __init__(
        self,
        commands: CommandQueue,
        operations: Operations,
        slot: ModelSlot,
        teller: Teller,
        clock: Callable[[], float],
    ) -> None:
        self._commands, self._operations = commands, operations
        self._slot, self._teller, self._clock = slot, teller, clock

    def run(self) -> None:
        """Returns when the commands are closed, or when the engine is broken.

        A step that fails ends only who is to blame. When a rank or a device is lost, the model
        turns out to be damaged, or anything else raises, which is a bug of ours, every request ends
        with an error: nobody would ever answer it.
        """
        while self.turn(self._spare_s()):
            pass

    def turn(self, wait_s: float | None) -> bool:
        """Carry out commands, after waiting so long for one, and run a step, if anybody has one to
        run. False: it was the last one."""
        status = self._teller.status
        try:
            self._commands.carry_out(wait_s)
            if not self._commands.closed:
                if self._slot.model is not None and not self._slot.model.batch.roster.idle:
                    self._step(self._slot.model)
                return True
            self._operations.end_everything()
        except EngineLost as error:
            log.error("the engine is over: %s", error)
            status.broken, status.blame = str(error), Fault.UNAVAILABLE
        except Exception as error:
            log.exception("the engine thread has failed")
            status.broken = f"the engine thread has failed: {type(error).__name__}: {error}"
        self._close()
        return False

    def _spare_s(self) -> float | None:
        """How long the thread may wait for a command: not while there is something to compute, and
        no longer than until a deadline. None: for ever."""
        if self._slot.model is None:
            return None
        roster = self._slot.model.batch.roster
        return 0.0 if roster.runnable else roster.due_in(self._clock())

    def _step(self, model: LoadedModel) -> None:
        batch, status, now = model.batch, self._teller.status, self._clock()
        deltas = [late(request_id) for request_id in batch.roster.expire(now)]
        if not batch.roster.runnable:
            self._teller.send(deltas)
            return
        status.busy_since = now
        try:
            deltas += batch.step()
            model.self_check.after_step(model.executor, batch.counters.unanswered)
            status.failures = 0
        except StepFailed as failure:
            log.exception("a step failed; %d of its requests end", len(failure.request_ids))
            status.failures += 1
            deltas += [
                Delta(id, finish=Finish.ERROR, error=str(failure)) for id in failure.request_ids
            ]
        status.busy_since = None
        self._teller.send(deltas, step=True)

    def _close(self) -> None:
        """The thread's last act: whoever still waits for an answer gets one, and memory is freed.

        Nothing here touches the batch, which may be what broke.
        """
        self._commands.close()
        status, model = self._teller.status, self._slot.take()
        status.busy_since = None
        self._teller.emptied()
        if self._slot.cores is not None:
            self._slot.cores.release()
        self._slot.masks.close()
        self._commands.carry_out(0.0)
        finish = Finish.ABORT if status.broken is None else Finish.ERROR
        end = Delta("", finish=finish, error=status.broken, fault=status.blame)
        self._teller.send([end._replace(request_id=id) for id in self._commands.live])
        self._teller.close()
        if model is not None:
            model.executor.close()


def late(request_id: str) -> Delta:
    """The end of a request whose deadline has passed."""
    why = "the request's deadline has passed"
    return Delta(request_id, finish=Finish.ERROR, error=why, fault=Fault.DEADLINE)
