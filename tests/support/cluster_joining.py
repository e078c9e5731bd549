"""`raylax serve --cluster` on one host of a small network, and `raylax join` on the others."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.cluster_serving import RAYLAX, READY, Command, Serving
from tests.support.network import Host, network

JOINED = "Ctrl-C leaves it."


class Machines:
    """Two hosts; the first one serves, and the other one has joined it when it is asked to."""

    def __init__(self, first: Host, other: Host, stack: ExitStack, model: str) -> None:
        self.first, self.other, self.model, self._stack = first, other, model, stack
        self.secret = self._directory() / "secret"
        self.head = Serving(
            self._directory(),
            *(model, "--replicas", "2", "--policy", "round-robin"),
            *("--cluster", first.address, "--cluster-secret", str(self.secret)),
            before=first.before,
            host=first.address,
        )
        stack.callback(self.head.end)
        self.head.wait_until_it_says(READY)

    def join(self) -> Command:
        """The other machine joins."""
        made = self.asking(self.first.address, "--secret", str(self.secret))
        made.wait_until_it_says(JOINED)
        return made

    def asking(self, *words: str, before: Sequence[str] = ()) -> Command:
        """The other machine would like to. `before`: what runs the command there."""
        command = [*self.other.before, *before, RAYLAX, "join", *words]
        made = Command(self._directory(), command)
        self._stack.callback(made.end)
        return made

    def _directory(self) -> Path:
        made = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
        self._stack.callback(shutil.rmtree, made, ignore_errors=True)
        return made


@contextmanager
def machines(model: str) -> Iterator[Machines]:
    with network(2) as (first, other), ExitStack() as stack:
        yield Machines(first, other, stack, model)
