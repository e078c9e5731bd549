"""What reports mean, beside those before them: who came, changed or went."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from raylax.cluster.metrics.events import Event, EventKind, Events
from raylax.cluster.metrics.state import EXPIRES_S
from raylax.router.observe.acts import Act

OF_STATE = {
    "loading": EventKind.JOINED,
    "ready": EventKind.READY,
    "draining": EventKind.DRAINING,
    "failed": EventKind.FAILED,
    "ended": EventKind.LEFT,
}
"""What it is that somebody comes to a state."""
STATE_AFTER = {kind: state for state, kind in OF_STATE.items()}
NOBODY = "somebody without a key"
REMEMBERED = 100
"""Routers whose commands are known."""
MOST_LISTED = 8
"""Names of what changed: `detail` has all."""
Config = Mapping[str, Any]


class Watch:
    """Makes events of the reports of workers and routers."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._states: dict[str, tuple[str, str]] = {}  # model and state of those that are there
        self._own: dict[str, Config] = {}  # configurations, by worker
        self._choices: dict[str, tuple[float, int | None]] = {}
        """By model: when the autoscaler has decided last, and for how many workers."""
        self.last_configs: dict[str, tuple[str, Config]] = {}
        """By model: the complete engine configuration that was told last, and by which worker."""
        self.settings: tuple[str, Config] | None = None
        """Who changed the cluster's settings last, and to what."""
        self._acted: dict[str, float] = {}  # by router, when the last command was given

    def heard(self, who: str, model: str, state: str, at: float, fault: str = "") -> None:
        """A worker or router says that it is in this state."""
        before = self._states.get(who)
        if before is None and state == "ended":
            return  # it has left already
        if before is None and state != "loading":
            self._add(EventKind.JOINED, who, model, at)
        if before is None or before[1] != state:
            self._add(OF_STATE[state], who, model, at, fault)
        if state == "ended":
            self._forget(who)
        else:
            self._states[who] = model, state

    def configured(self, worker: str, model: str, config: Config, at: float) -> None:
        """A worker says that it runs its model by this configuration."""
        mine, (_, known) = self._own.get(worker), self.last_configs.get(model, ("", None))
        if config == mine:
            return
        self._own[worker] = config
        config = json.loads(json.dumps(config))  # as it will be read back: without tuples
        self.last_configs[model] = worker, config
        if config == known:
            return
        how = "was started" if mine is None else "was loaded again"
        changes = changes_of(known, config)
        what = f" with another {listed(changes)}" if changes else ""
        if changes and self.settings is not None:
            what += f"; settings were changed last by {self.settings[0]}"
        self._add(EventKind.CONFIGURED, worker, model, at, f"{worker} {how}{what}", changes)

    def changed(self, settings: Config, by: str, at: float) -> None:
        """Somebody has these settings deployed; the same ones again are no change."""
        known = None if self.settings is None else self.settings[1]
        if settings == known:
            return
        self.settings = by, settings
        changes = changes_of(known, settings)
        text = f"another {listed(changes)}" if known is not None else "for the first time"
        self._add(EventKind.SETTINGS, by, "", at, text, changes)

    def acted(self, router: str, acts: Iterable[Act]) -> None:
        """A router's last commands of admins, the oldest first: those that are new have happened
        now."""
        for act in acts:
            if act.at > self._acted.get(router, -math.inf):
                self._note_act(router, act.at)
                detail = {"router": router}
                self._add(EventKind.COMMANDED, act.who or NOBODY, "", act.at, act.what, detail)

    def decided(self, model: str, receipts: Iterable[Mapping[str, Any]]) -> None:
        """The autoscaler's last decisions, the oldest first: those that are new, and wanted another
        number of workers than the one before, have happened."""
        last_s, choice = self._choices.get(model, (-math.inf, None))
        for receipt in receipts:
            if (at_s := receipt["at_s"]) > last_s:
                before, choice, last_s = choice, receipt["choice"], at_s
                if before not in (None, choice):
                    text = f"{before} to {choice} workers: {receipt['reason']}"
                    self._add(EventKind.SCALING, model, model, at_s, text, receipt)
        self._choices[model] = last_s, choice

    def present(self, these: Iterable[str], at: float) -> None:
        """Only these are there still: the others are lost, for they have said no goodbye."""
        for who in sorted(self._states.keys() - set(these)):
            model, state = self._states[who]
            self._forget(who)
            self._add(EventKind.LOST, who, model, at, f"silent for {EXPIRES_S:g} s, it was {state}")

    def restore(self, event: Event) -> None:
        """It happened before this process was started."""
        if event.kind is EventKind.SCALING:
            self._choices[event.model] = event.at, event.detail["choice"]
        elif event.kind is EventKind.COMMANDED:
            self._note_act(event.detail["router"], event.at)
        elif event.kind is EventKind.LOST or (state := STATE_AFTER.get(event.kind)) == "ended":
            self._forget(event.who)
        elif state is not None:
            self._states[event.who] = event.model, state

    def restore_config(self, worker: str, model: str, config: Config) -> None:
        """What a model was run by, as this worker told last before this process was started."""
        self._own[worker], self.last_configs[model] = config, (worker, config)

    def restore_settings(self, by: str, settings: Config) -> None:
        """What the cluster was to be before this process was started."""
        self.settings = by, settings

    def _note_act(self, router: str, at: float) -> None:
        """Known of those that are gone, too: one may only have been silent."""
        self._acted.pop(router, None)
        self._acted[router] = at
        if len(self._acted) > REMEMBERED:
            del self._acted[next(iter(self._acted))]

    def _forget(self, who: str) -> None:
        self._states.pop(who, None)
        self._own.pop(who, None)

    def _add(
        self,
        kind: EventKind,
        who: str,
        model: str,
        at: float,
        text: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        self._events.add(kind, who, at, model=model, text=text, detail=detail)


def listed(changes: Mapping[str, Any]) -> str:
    """Their names, as far as a line has room."""
    names = [*changes]
    more = [f"{len(names) - MOST_LISTED} more"] if len(names) > MOST_LISTED else []
    return ", ".join([*names[:MOST_LISTED], *more])


def changes_of(before: Config | None, after: Config) -> dict[str, dict[str, Any]]:
    """Each field that differs, with both values; none where there was nothing before."""
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in ({**before, **after} if before is not None else {})
        if before is not None and before.get(name) != after.get(name)
    }
