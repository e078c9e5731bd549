"""What is seen of a start: a line for the model and one for the cluster, which begin together."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from raylax.kernels.sources.events import Audience

AGAIN_S = 10.0
"""Until a step is said again where nobody sees it go on."""


class Steps:
    """Shows the steps of a start: on a terminal lines that change, elsewhere a line for each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(text_format_no_percentage=""),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._lanes: dict[str, tuple[TaskID, str]] = {}
        self._said = self._begun

    def __enter__(self) -> "Steps":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def show(self, lane: str, step: str, fraction: float | None = None) -> None:
        """A lane, the model or the cluster, is at this step; `fraction` of it is done, if known."""
        task, last = self._lanes.get(lane, (None, ""))
        if task is None:
            task = self._bars.add_task(step, total=None)
        if not self._console.is_terminal:
            self._say(step, step != last, fraction)
        self._lanes[lane] = task, step
        if fraction is None:
            self._bars.reset(task, total=None, description=step)
        else:
            self._bars.update(task, description=step, completed=fraction, total=1.0)

    def _say(self, step: str, is_new: bool, fraction: float | None) -> None:
        """A line, where there is something new to say."""
        now = time.monotonic()
        if not is_new and (fraction is None or now - self._said < AGAIN_S):
            return
        self._said = now
        share = "" if is_new or fraction is None else f", {fraction:.0%}"
        text = f"[{now - self._begun:5.1f} s] {step}{share}"
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def audience(self, lane: str) -> Audience:
        """Who downloads something tells us."""

        def note(text: str) -> None:
            self._console.print(escape(text), highlight=False, soft_wrap=True)

        def step(text: str, fraction: float | None) -> None:
            self.show(lane, text, fraction)

        return Audience(note, step)
