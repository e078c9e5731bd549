"""What happened in the cluster, in order: who came and went, and what was changed. Plain state."""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from heapq import merge
from typing import Any

from pydantic import BaseModel

MOST_OF_A_KIND = 500
"""Kept: then the oldest of its kind goes, so that none pushes out another."""


class EventKind(StrEnum):
    """What can happen."""

    JOINED = "joined"
    """A worker or router was heard of for the first time."""
    READY = "ready"
    """A worker serves."""
    DRAINING = "draining"
    """It takes nothing new, and what it has moves."""
    LEFT = "left"
    """It said goodbye."""
    FAILED = "failed"
    """It can no longer serve."""
    LOST = "lost"
    """It has not been heard for ten seconds."""
    CONFIGURED = "configured"
    """A model is run by another engine configuration than before."""
    SETTINGS = "settings"
    """The configuration of the cluster is another one, or the first: `who` wanted it so."""
    COMMANDED = "commanded"
    """An admin has had something done."""
    SCALING = "scaling"
    """The autoscaler wants another number of workers: `detail` is its receipt."""


class Event(BaseModel):
    """One of them."""

    id: int
    """Later ones have larger ones, also after Metrics was started again."""
    at: float
    """Seconds since the epoch."""
    kind: EventKind
    who: str
    """The worker or router; the model, of scaling; the tenant, of a command; of settings whoever
    changed them, in words."""
    model: str
    """Empty, of routers."""
    text: str
    """What there is to say, in words."""
    detail: dict[str, Any] = {}
    """Of `configured` and `settings`: each field that changed, and its values before and after."""


class EventList(BaseModel):
    """The body of /cluster/events."""

    events: list[Event]
    """In order."""


class Events:
    """The last ones of each kind."""

    def __init__(self, most: int = MOST_OF_A_KIND) -> None:
        self._of: dict[EventKind, deque[Event]] = {kind: deque(maxlen=most) for kind in EventKind}
        self._last = 0

    def add(
        self,
        kind: EventKind,
        who: str,
        at: float,
        *,
        model: str = "",
        text: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> Event:
        """It has happened."""
        event = Event(
            id=self._last + 1, at=at, kind=kind, who=who, model=model, text=text,
            detail=dict(detail or {}),
        )  # fmt: skip
        self.restore(event)
        return event

    def restore(self, event: Event) -> None:
        """It happened before this process was started."""
        self._of[event.kind].append(event)
        self._last = max(self._last, event.id)

    def after(self, id: int) -> Iterable[Event]:
        """Those with larger ids, in order."""
        newer = ((one for one in of_kind if one.id > id) for of_kind in self._of.values())
        return merge(*newer, key=lambda one: one.id)
