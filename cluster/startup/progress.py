"""What is seen of a start: a line for the model and one for the cluster, which begin together."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Steps:
    """Shows the steps of a start: on a terminal lines that change, elsewhere a line for each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._lanes: dict[str, tuple[TaskID, str]] = {}

    def __enter__(self) -> "Steps":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, lane: str, step: str, fraction: float | None = None) -> None:
        """A lane, the model or the cluster, is at this step; `fraction` of it is done, if known."""
        task, last = self._lanes.get(lane, (None, ""))
        if task is None:
            task = self._bars.add_task(step, total=None)
        if step != last and not self._console.is_terminal:
            passed = time.monotonic() - self._begun
            self._console.print(f"[{passed:5.1f} s] {step}", highlight=False)
        self._lanes[lane] = task, step
        if fraction is None:
            self._bars.reset(task, total=None, description=step)
        else:
            self._bars.update(task, description=step, completed=fraction, total=1.0)
