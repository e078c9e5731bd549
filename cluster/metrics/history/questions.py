"""What is asked of the past, and the answer: a table of times, for who draws."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, FiniteFloat

from raylax.cluster.metrics.history.columns import Columns, Kind
from raylax.cluster.metrics.history.ring import Level, Ring
from raylax.cluster.metrics.history.series import Series
from raylax.proto.errors import InvalidRequest, shown

SOME_POINTS = 300
"""About as many as a page has room for: without a step asked for, the step follows."""
MOST_VALUES = 100_000
"""Of an answer: more would hold up reports that come meanwhile."""
FAR_S = 1e11
"""Some thousand years: times beyond are no times."""
LONGEST_STEP_S = 86400
SIX_DIGITS = 5
Time = Annotated[FiniteFloat, Field(ge=-FAR_S, le=FAR_S)]
Table = dict[str, NDArray[np.float64]]


class Question(BaseModel, extra="forbid"):
    """What somebody wants to know of the past."""

    kind: str = "workers"
    """Of whom, as workers or routers."""
    rows: str = "sums"
    """sums: of each model, and of the cluster, whose name is empty; all: of everyone; or names with
    commas between."""
    columns: str = ""
    """Names with commas between; empty: all."""
    since: Time = -float(SOME_POINTS)
    """In seconds since the epoch; negative: so many seconds ago. What is older than history is its
    begin."""
    until: Time = 0.0
    """The same."""
    step: Annotated[FiniteFloat, Field(ge=0, le=LONGEST_STEP_S)] = 0.0
    """Seconds between two points; 0: so that there are some hundreds."""


class HistoryRow(BaseModel):
    """Of one row."""

    name: str
    """A worker, a rank as WORKER/RANK, a router, a tenant; a model, or empty, of sums."""
    model: str
    gone: bool
    values: dict[str, list[float | None]]
    """By column, of each time in `at`; null: not known."""


class ColumnDescription(BaseModel):
    """What a column is."""

    kind: Kind | None
    """counter: told as how much it grew in a second; null: made of others."""
    text: str


class History(BaseModel):
    """The answer."""

    step_s: int
    at: list[int]
    """Seconds since the epoch at which points begin; each is the mean until the next one."""
    columns: dict[str, ColumnDescription]
    rows: list[HistoryRow]


class Derived(NamedTuple):
    """A column that is made of others when somebody asks."""

    text: str
    made: Callable[[Table], NDArray[np.float64]]


def ratio(parts: Sequence[str], whole: str) -> Callable[[Table], NDArray[np.float64]]:
    """The sum of some columns divided by another one; NaN where that is 0."""

    def made(table: Table) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.sum([table[part] for part in parts], axis=0)
        return total / np.where(table[whole] > 0, table[whole], np.nan)

    return made


def history(
    question: Question, series: Series, derived: Mapping[str, Derived], now: float
) -> History:
    """Raises InvalidRequest."""
    since, until = (at + now if at <= 0 else at for at in (question.since, question.until))
    until = min(until, now)
    if since >= until:
        raise InvalidRequest(f"since must be before until: {since:.0f}, {until:.0f}", param="since")
    if until <= (oldest := now - series.levels[-1].span_s):
        raise InvalidRequest(
            f"there is history from {oldest:.0f} to {now:.0f}, found {since:.0f} to {until:.0f}",
            param="until",
        )
    since = max(since, oldest)  # else there would be room for all the time before
    level, step_s = resolution(series.levels, now - since, until - since, question.step)
    names = chosen(question.columns, series.columns, derived)
    rows = rows_asked(question.rows, series)
    first = math.ceil(since / step_s) * step_s
    times = range(first, max(first, math.floor(until)), step_s)
    if (values := len(rows) * len(names) * len(times)) > MOST_VALUES:
        raise InvalidRequest(
            f"an answer has at most {MOST_VALUES} values, not {values}: {len(rows)} rows of "
            f"{len(names)} columns at {len(times)} times; ask for fewer, or for a longer step",
            param="step",
        )
    return History(
        step_s=step_s,
        at=list(times),
        columns={name: described(name, series.columns, derived) for name in names},
        rows=[
            HistoryRow(
                name=name,
                model=model,
                gone=gone,
                values=values_of(table_of(ring, series.columns, times, level), names, derived),
            )
            for name, model, gone, ring in rows
        ],
    )


def resolution(
    levels: Sequence[Level], back_s: float, long_s: float, wanted_s: float
) -> tuple[Level, int]:
    """The coarsest level that is as fine as is wanted, of those that reach back so far; and the
    step, a multiple of the level's."""
    wanted_s = wanted_s if wanted_s > 0 else long_s / SOME_POINTS
    reaching = [level for level in levels if level.span_s >= back_s] or [levels[-1]]
    fine = [level for level in reaching if level.step_s <= wanted_s]
    level = fine[-1] if fine else reaching[0]
    return level, level.step_s * max(1, round(wanted_s / level.step_s))


def chosen(asked: str, columns: Columns, derived: Mapping[str, Derived]) -> list[str]:
    """The names of the columns that are asked for. Raises InvalidRequest for another one."""
    there = [*columns.names, *derived]
    names = [name.strip() for name in asked.split(",") if name.strip()] or there
    if unknown := [name for name in names if name not in there]:
        raise InvalidRequest(
            f"no column {shown(unknown[0])}; there is {', '.join(there)}", param="columns"
        )
    return names


def rows_asked(asked: str, series: Series) -> list[tuple[str, str, bool, Ring | None]]:
    """Name, model, whether it is gone, and what is kept of it. Raises InvalidRequest for a row that
    is not there."""
    if asked == "sums":
        return [(model, model, False, ring) for model, ring in sorted(series.sums.items())]
    names = sorted(series.rows) if asked == "all" else [one.strip() for one in asked.split(",")]
    if unknown := [name for name in names if name not in series.rows]:
        raise InvalidRequest(
            f"nothing is known of {shown(unknown[0])}; rows=all shows everyone", param="rows"
        )
    rows = [series.rows[name] for name in names]
    return [(row.name, row.model, row.is_gone, row.ring) for row in rows]


def described(name: str, columns: Columns, derived: Mapping[str, Derived]) -> ColumnDescription:
    """A column, in words."""
    if name in derived:
        return ColumnDescription(kind=None, text=derived[name].text)
    column = columns.all[columns.names.index(name)]
    return ColumnDescription(kind=column.kind, text=column.text)


def table_of(ring: Ring | None, columns: Columns, times: range, level: Level) -> Table:
    """What a ring has at these times, by column: means of its slots from each time to the next."""
    means = np.full((len(times), len(columns)), np.nan)
    if ring is not None and level in ring.levels and times:
        slots = ring.between(times[0], times[-1] + times.step - 1, level)
        shape = (len(times), times.step // level.step_s)
        counts = slots.counts.reshape(shape).astype(np.float64)
        values = slots.values.reshape(*shape, len(columns)).astype(np.float64)
        weights = np.where(np.isnan(values), 0.0, counts[:, :, None])
        known = weights.sum(axis=1)
        sums = (np.nan_to_num(values) * weights).sum(axis=1)
        means = sums / np.where(known > 0, known, np.nan)
    return dict(zip(columns.names, means.T, strict=True))


def values_of(
    table: Table, names: Sequence[str], derived: Mapping[str, Derived]
) -> dict[str, list[float | None]]:
    """Of these columns, with six digits, as JSON has them."""
    made = {name: table[name] if name in table else derived[name].made(table) for name in names}
    return {
        name: [None if value != value else value for value in rounded(values).tolist()]
        for name, values in made.items()
    }


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To six digits: more are none that were measured, and double an answer."""
    with np.errstate(divide="ignore"):
        digits = SIX_DIGITS - np.floor(np.log10(np.abs(values)))
    scale = np.where(np.isfinite(digits), 10.0 ** np.where(np.isfinite(digits), digits, 0), 1.0)
    rounded: NDArray[np.float64] = np.round(values * scale) / scale
    return rounded
