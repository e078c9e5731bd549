"""Pages of what a tenant has."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from raylax.router.files.names import Kind, is_name

Record = TypeVar("Record")


class Page(NamedTuple, Generic[Record]):
    """Some of all, in their order."""

    data: list[Record]
    has_more: bool


def page_of(
    place: Path,
    kind: Kind,
    read: Callable[[Path], Record | None],
    after: str,
    limit: int,
    newest_first: bool,
) -> Page[Record]:
    """What comes after the one named `after`, be it there or not; empty: from the beginning. `read`
    gives None for what is not to be seen."""
    names = sorted((one for one in os.listdir(place) if is_name(kind, one)), reverse=newest_first)
    if after:
        names = [one for one in names if (one < after if newest_first else one > after)]
    found = list(islice(seen(place, names, read), limit + 1))
    return Page(found[:limit], len(found) > limit)


def seen(place: Path, names: list[str], read: Callable[[Path], Record | None]) -> Iterator[Record]:
    for name in names:
        if (record := read(place / name)) is not None:
            yield record
