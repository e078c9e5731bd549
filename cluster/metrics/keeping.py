"""What Metrics writes down, and how it goes on from there.

A file, and not the workers' own memory: it also has what those counted that are gone, routers and
the events; and it takes one reader and one writer, where asking each worker for its day would take
a protocol, and as much memory again in every one. It lies where Metrics runs: after a move to
another machine history begins anew, as it does where no run has a directory.

Minutes are written, each when it is over, and what happened, at once. So a Metrics that was killed
knows the last five minutes by minutes, not by seconds, and of those that went meanwhile lacks what
they counted in their last minute.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from raylax.cluster.metrics.events import Event, EventKind, Events
from raylax.cluster.metrics.history.questions import rounded
from raylax.cluster.metrics.history.series import Series
from raylax.cluster.metrics.routers import RouterReports
from raylax.cluster.metrics.state import Reports
from raylax.cluster.metrics.state_file import StateFile
from raylax.cluster.metrics.watching import Watch
from raylax.router.observe.measures import RouterMeasures

MINUTE_S = 60
Row = tuple[str, str, int, list[float | None]]
"""Name, model, seconds that are known, values; the name of a model's own row is empty."""


class Keeper:
    """Writes what there is to know into a file, and reads it back."""

    def __init__(
        self,
        file: StateFile,
        series: Mapping[str, Series],
        reports: Reports,
        routers: RouterReports,
        events: Events,
        watch: Watch,
    ) -> None:
        self._file, self._series, self._reports = file, series, reports
        self._routers, self._events, self._watch = routers, events, watch
        self._event = 0  # the last one that is written
        self._minute: int | None = None
        self._said: dict[str, Any] = {}  # by place: what is written; None: nothing any more

    # Writing

    def turn(self, wall: float) -> None:
        """Write what is new."""
        for event in self._events.after(self._event):
            self._event = event.id
            self._write({"event": event.model_dump(mode="json")})
            if event.kind in (EventKind.SETTINGS, EventKind.CONFIGURED):
                self._write_state()  # else the next Metrics would tell the change again
        minute = int(wall // MINUTE_S) - 1
        if self._minute is None or minute < self._minute:
            self._minute = minute
        if minute > self._minute:
            self._minute = minute
            self._write({"minute": minute * MINUTE_S, "rows": self._rows(minute * MINUTE_S)})
            self._write_state()

    def _write(self, record: dict[str, Any]) -> None:
        if self._file.append(record):
            self._said.clear()  # within a minute it stands in the new file; until then in the other

    def _write_state(self) -> None:
        """What is not of one time, as far as it is not in this file already."""
        state = dict(self._state())
        for place in [*state, *(self._said.keys() - state.keys())]:
            value = state.get(place)
            if self._said.get(place) != value:
                self._write({"state": place, "value": value})
                self._said[place] = value

    def _state(self) -> Iterator[tuple[str, Any]]:
        for worker, (model, *counts) in self._reports.counted.items():
            yield f"counted/{worker}", [model, *map(dict, counts)]
        yield "counted", {model: dict(counts) for model, counts in self._reports.before.items()}
        for measures in self._routers.known:
            yield f"router/{measures.router}", measures.model_dump(mode="json")
        if (before := self._routers.before) is not None:
            yield "router", before.model_dump(mode="json")
        for model, (worker, config) in self._watch.last_configs.items():
            yield f"config/{model}", [worker, config]
        if self._watch.settings is not None:
            yield "settings", [*self._watch.settings]

    def _rows(self, second: int) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {}
        for kind, series in self._series.items():
            rings = [(row.name, row.model, row.ring) for row in series.rows.values()]
            rings += [("", model, ring) for model, ring in series.sums.items()]
            of_kind = rows.setdefault(kind, [])
            for name, model, ring in rings:
                if ring is not None:
                    values, count = ring.last_of_coarsest(second)
                    if count:
                        told = rounded(values.astype(np.float64)).tolist()
                        known = [None if one != one else one for one in told]
                        of_kind.append((name, model, count, known))
        return rows

    # Reading

    def restore(self) -> None:
        """Go on from what is written."""
        for record in self._file.read():
            match record:
                case {"event": event}:
                    self._restore_event(Event.model_validate(event))
                case {"minute": second, "rows": rows}:
                    for kind, of_kind in rows.items():
                        self._restore_rows(kind, second, of_kind)
                case {"state": place, "value": value}:
                    self._said[place] = value
        for place, value in self._said.items():
            if value is not None:
                self._restore_state(*place.partition("/")[::2], value)

    def _restore_event(self, event: Event) -> None:
        self._event = event.id
        self._events.restore(event)
        self._watch.restore(event)

    def _restore_rows(self, kind: str, second: int, rows: list[Row]) -> None:
        if (series := self._series.get(kind)) is None:
            return
        for name, model, count, told in rows:
            values = np.array(told, np.float32)
            if len(values) != len(series.columns):
                continue  # another version of ours has written it
            if name:
                series.restore(name, model, second, values, count)
            else:
                series.restore_sum(model, second, values, count)

    def _restore_state(self, kind: str, name: str, value: Any) -> None:
        match kind, bool(name):
            case "counted", True:
                self._reports.restore(name, *value)
            case "counted", False:
                self._reports.restore_before(value)
            case "router", True:
                self._routers.restore(RouterMeasures.model_validate(value))
            case "router", False:
                self._routers.restore_before(RouterMeasures.model_validate(value))
            case "config", _:
                worker, config = value
                self._watch.restore_config(worker, name, config)
            case "settings", _:
                self._watch.restore_settings(*value)
