"""`raylax models`: the short names, and what they stand for on this machine; and all families."""

from rich.console import Console
from rich.table import Table

from raylax.cluster.models import families
from raylax.kernels.sources.fetch import repository_of
from raylax.kernels.sources.short_names import TABLE, ShortName
from raylax.worker.hardware.devices import choose
from raylax.worker.hardware.machine import machine_for

WIDTH = 120
"""Of a row at most: it is not cut where a terminal has less."""


def show(console: Console) -> None:
    """A row for each. Sizes are not in it: the hub says them before a download. Then one for each
    family."""
    machine = machine_for(choose().device)
    table = Table(box=None, pad_edge=False)
    for title in ("name", "parameters", "licence", "here", "of"):
        table.add_column(title, no_wrap=True)
    seen = set[str]()
    for known in TABLE:
        repository = repository_of(ShortName(known), machine)
        file = repository.quantisations[0] if repository.quantisations else "safetensors"
        alone = "" if known.family in seen else f" or {known.family}"
        seen.add(known.family)
        name, count = f"{known.name}{alone}", f"{known.billions:g} billion"
        table.add_row(name, count, known.licence, file, repository.name)
    console.width = max(console.width, WIDTH)
    console.print(table)
    read = Table(box=None, pad_edge=False)
    for title in families.COLUMNS:
        read.add_column(title, no_wrap=True)
    for row in families.rows(short=True):
        read.add_row(*row)
    console.print()
    console.print(read)
