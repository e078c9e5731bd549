"""Recorded requests, and the arrivals that are made of them: no text, only when and how long.

Two formats are read, packed with gzip or not: the tables of Azure's inference traces (TIMESTAMP,
ContextTokens, GeneratedTokens) and Mooncake's lines of JSON (timestamp in ms, input_length,
output_length, hash_ids: a name for each 512 tokens of the prompt and all before them).
"""

import csv
import gzip
import io
import json
import math
import random
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from raylax.cluster.errors import UserError

BLOCK = 512
"""Tokens of the prompt that have one name: the grain of Mooncake's traces."""
UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, EOFError,
    zlib.error, csv.Error,
)  # fmt: skip
"""What reading a file raises that is something else."""
Shape = Literal["superposed", "compressed"]


class Arrival(NamedTuple):
    """A request: when it comes, in seconds, and the tokens of its prompt and of its answer."""

    at: float
    prompt: int
    answer: int
    names: Sequence[int] = ()
    """Of the prompt's full blocks, each with all before it; without any it shares nothing."""


def read_trace(path: Path) -> list[Arrival]:
    """A file's requests in order, the first at second 0. Raises UserError."""
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
        rows = from_json(text) if text.startswith("{") else from_table(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: not a trace of Azure's or Mooncake's: {error}") from None
    if not all(math.isfinite(row.at) for row in rows):
        raise UserError(f"{path}: a trace's times must be finite numbers")
    if len(rows) < 2 or max(row.at for row in rows) == min(row.at for row in rows):
        raise UserError(f"{path}: a trace needs two requests at different times, found {len(rows)}")
    rows.sort(key=lambda row: row.at)
    return [row._replace(at=row.at - rows[0].at) for row in rows]


def own_rate(trace: Sequence[Arrival]) -> float:
    """Requests a second, as recorded."""
    return (len(trace) - 1) / trace[-1].at


def from_table(text: str) -> list[Arrival]:
    """Azure's. Raises some of UNREADABLE."""
    return [
        Arrival(
            datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp(),  # microseconds are enough
            max(1, int(row["ContextTokens"])),
            max(1, int(row["GeneratedTokens"])),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def from_json(text: str) -> list[Arrival]:
    """Mooncake's. Raises some of UNREADABLE."""
    return [
        Arrival(
            row["timestamp"] / 1000,
            max(1, row["input_length"]),
            max(1, row["output_length"]),
            tuple(row["hash_ids"][: row["input_length"] // BLOCK]),
        )
        for row in map(json.loads, text.splitlines())
    ]


def arrivals(
    trace: Sequence[Arrival], rate: float, most: int, shape: Shape, seed: int
) -> list[Arrival]:
    """Requests made of a trace, `most` at most, that come at `rate` a second on average.

    Compressed, the trace runs faster: its bursts get sharper. Superposed, copies of it that begin
    at different places run together at about its own speed; a copy's prompts share nothing with
    another's, as if other people sent them.
    """
    rng, length = random.Random(seed), trace[-1].at
    copies = max(1, round(rate / own_rate(trace))) if shape == "superposed" else 1
    speed = rate / (own_rate(trace) * copies)
    rows: list[Arrival] = []
    for copy in range(copies):
        begin = rng.random() * length if copies > 1 else 0.0
        for row in trace:
            at = (row.at - begin) % length / speed + rng.random() / rate
            names = tuple(name * copies + copy for name in row.names)
            rows.append(Arrival(at, row.prompt, row.answer, names))
    return sorted(rows, key=lambda row: row.at)[:most]
