"""The policies that Serve's controller calls ten times a second, each by its deployment.

Serve ships a policy's module by value; what it shares with others therefore lies in other modules.
What Serve would add itself, its delays and factors, is set to nothing (`application.app`).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from raylax.cluster.autoscaling.counters import Counters
from raylax.cluster.autoscaling.on_serve.board import Board, RayStore, Store
from raylax.cluster.autoscaling.on_serve.desk import Desk, desk_of
from raylax.cluster.autoscaling.on_serve.said import (
    CAME,
    HELD,
    NOTHING_LEARNED,
    OF_WORKERS,
    counted,
    latest,
    mean_of,
    mean_pace,
    of_model,
    total,
)
from raylax.cluster.autoscaling.pool import Claim
from raylax.cluster.autoscaling.receipt import Receipt
from raylax.cluster.autoscaling.rule import EVERY_S, ScalingRule
from raylax.cluster.autoscaling.schedule import least_at
from raylax.cluster.autoscaling.snapshot import TTFT_S, Snapshot, Targets
from raylax.cluster.autoscaling.starts import StartTimes
from raylax.proto.wire.outlook import Outlook


class RouterPolicy:
    """Changes nothing: it tells the models' policies what routers say."""

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """context: ray.serve.config.AutoscalingContext -> (replicas, state to keep)."""
        desk_of(context.app_name).routers = latest(context.raw_metrics)
        return context.target_num_replicas, {}


class WorkerPolicy:
    """Decides for one model every EVERY_S, and says the same in between."""

    def __init__(
        self,
        model: str,
        least: int,
        most: int,
        schedule: Sequence[tuple[str, int]] = (),
        timezone: str = "UTC",
        ttft_s: float | None = None,
        itl_s: float | None = None,
        wait_limit_s: float = 60.0,
        idle_s: float = 300.0,
        weight: float = 1.0,
        cost: float = 1.0,
        pool: float | None = None,
        dry_run: bool = False,
        store: Store | None = None,
    ) -> None:
        """What `config.models.ModelSettings` and `config.sections.Autoscaling` say of it."""
        self._model, self._least, self._most = model, least, most
        self._schedule, self._timezone = tuple((cron, n) for cron, n in schedule), timezone
        self._weight, self._cost, self._pool, self._dry_run = weight, cost, pool, dry_run
        targets = Targets(TTFT_S if ttft_s is None else ttft_s, itl_s, wait_limit_s, idle_s)
        self._rule, self._starts = ScalingRule(targets), StartTimes()
        self._workers, self._routers = Counters(), Counters()
        self._pace, self._step_tokens = NOTHING_LEARNED, 1.0
        self._said_start_s: float | None = None
        self._board = Board(model, RayStore() if store is None else store)
        self._looked: float | None = None
        self._choice: int | None = None

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """context: ray.serve.config.AutoscalingContext -> (replicas, state to keep)."""
        return self.at(time.monotonic(), datetime.now(UTC), context), {}

    def at(self, now: float, date: datetime, context: Any) -> int:
        """Workers that there should be. `now`: of a clock that never goes back."""
        self._starts.see(now, context.target_num_replicas, context.current_num_replicas)
        if self._looked is None or now - self._looked >= EVERY_S:
            self._choice = self._look(now, date, context)
        if self._choice is None or self._dry_run:
            return int(context.target_num_replicas)
        return self._choice

    def _look(self, now: float, date: datetime, context: Any) -> int | None:
        """A decision; None at the first look, before there is a difference to anything."""
        desk, workers = desk_of(context.app_name), latest(context.raw_metrics)
        self._pace = mean_pace(workers) or self._pace
        self._step_tokens = mean_of(workers, "step_tokens") or self._step_tokens
        self._said_start_s = mean_of(workers, "start_s") or self._said_start_s
        came = counted(self._routers, of_model(desk.routers, CAME, self._model), CAME)
        ended = counted(self._workers, workers, OF_WORKERS)
        held = of_model(desk.routers, HELD, self._model)
        looked, self._looked = self._looked, now
        if looked is None:
            return None
        queued, busy = total(held, "held"), total(workers, "running") + total(workers, "waiting")
        snapshot = Snapshot(
            now=now,
            dt=now - looked,
            arrived=came["arrived"],
            prompt=came["prompt_tokens"],
            cached=ended["cached_tokens"],
            done=ended["ended"],
            done_out=ended["ended_tokens"],
            ready=context.current_num_replicas,
            decoding=total(workers, "decoding"),
            context=total(workers, "context_tokens"),
            todo=total(workers, "queued_tokens"),
            queued=int(queued),
            queued_tokens=total(held, "held_tokens"),
            busy=queued + busy > 0,
            target=context.target_num_replicas,
            pace=self._pace,
            step_tokens=int(self._step_tokens),
            start_s=self._starts.median_s(self._said_start_s),
            least=least_at(self._schedule, self._least, self._timezone, date),
            most=self._most,
        )
        receipt = self._shared(desk, self._rule.decide(snapshot))
        self._post(receipt, date, self._starts.first_for_s(now))
        return receipt.choice

    def _shared(self, desk: Desk, receipt: Receipt) -> Receipt:
        """What the pool leaves of it."""
        t, model = receipt.inputs, self._model
        claim = Claim(
            model, receipt.choice, desk.had(model, t.target), receipt.work, receipt.usable,
            self._weight, self._cost, min(receipt.choice, max(1, t.least)),
        )  # fmt: skip
        granted = desk.grant(t.now, claim, t.start_s, self._pool)
        if granted == receipt.choice:
            return receipt
        reason = f"{receipt.reason}; the pool of {self._pool:g} has {granted} for this model"
        return replace(receipt, choice=granted, reason=reason)

    def _post(self, receipt: Receipt, date: datetime, first_for_s: float | None) -> None:
        """For Metrics and for routers: what was decided, and who is on the way. `first_for_s`: how
        long the first of those has been."""
        at_s, t = date.timestamp(), receipt.inputs
        ordered_at_s = None if first_for_s is None else at_s - first_for_s
        outlook = Outlook(t.least, self._starts.under_way, ordered_at_s, t.start_s)
        about = {
            "dry_run": self._dry_run,
            "starts_s": [round(one, 3) for one in self._starts.measured],
        }
        self._board.post(at_s, {**receipt.asdict(), **about}, outlook)
