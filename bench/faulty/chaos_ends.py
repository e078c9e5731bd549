"""What became of requests while workers were lost, and how long their streams stood still."""

from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from faulty.ends import Ends

ENDS = ("answered", "formed", "moved", "lost", "different", "formless")


@dataclass
class ChaosEnds(Ends):
    """What became of the requests: ENDS; those that moved, and those with a form, are among those
    that were answered."""

    gaps: dict[str, list[float]] = field(
        default_factory=lambda: {"kill": [], "hang": [], "drain": [], "again": [], "no other": []}
    )
    """Seconds from the last token before a worker was lost to the first one after, as clients had
    them."""


def report(ends: ChaosEnds, blows: Counter[str], console: Console) -> None:
    console.print("blows: " + ", ".join(f"{blow} {count}" for blow, count in sorted(blows.items())))
    table = Table(*ENDS)
    table.add_row(*(str(ends.counts[end]) for end in ENDS))
    console.print(table)
    gaps = Table("gap in a stream", "count", "median s", "p99 s", "worst s")
    for kind, seconds in ends.gaps.items():
        if seconds:
            ordered = sorted(seconds)
            ranks = (
                ordered[len(ordered) // 2],
                ordered[int(0.99 * (len(ordered) - 1))],
                ordered[-1],
            )
            gaps.add_row(kind, str(len(ordered)), *(f"{s:.2f}" for s in ranks))
    console.print(gaps)
    for what in ends.wrong:
        console.print(what, markup=False, soft_wrap=True)
