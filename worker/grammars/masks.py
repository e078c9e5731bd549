"""Masks of grammars, computed while the model computes the logits that they are for.

The tokens behind which a row draws are known before its step runs. So what may follow them is found
out beside the step, by a thread of its own, and the draw waits only for what takes longer.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from raylax.proto.grammar.matcher import GrammarError, Matcher
from raylax.worker.scheduling.step_plan import Work

Behind = tuple[Matcher, list[int]]
"""An answer, and so much of a draft behind it."""


class Masks:
    """Of the rows of an engine's steps."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    @contextmanager
    def ready_behind(self, batch: Sequence[Work]) -> Iterator[None]:
        """When what is inside is done, so are the masks of these sequences' rows."""
        wanted = [
            (matcher, one.draft[:ahead])
            for one, _, rows in batch
            if (matcher := one.constraints.matcher) is not None
            for ahead in range(rows)
        ]
        if not wanted:
            yield
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "masks")
        made = self._thread.submit(compute, wanted)
        try:
            yield
        finally:
            made.result()

    def close(self) -> None:
        """Compute no more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)


def compute(wanted: Sequence[Behind]) -> None:
    """Let each matcher know what may follow."""
    for matcher, said in wanted:
        try:
            matcher.mask(said)
        except GrammarError:
            continue  # it raises again where it is asked for, and is the end of that answer
