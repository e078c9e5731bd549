"""The rule: work that comes over what a worker can take, the most of the last starts, and what ends
a backlog. One `ScalingRule` for each model, asked every EVERY_S.

    w      = (b*P*(1-h) + A*o*(c + d*L)) / dt        need.py
    u      = 1 - a / (0.7*ITL)                       snapshot.py
    g      = 1 + max(0, s - sigma_s)*D / w  <= 2     trend.py
    need   = ceil((g*w + sigma) / u)                 need.py
    drain  = ceil(sqrt(10*w*left / D))               drain.py
    wish   = max(most of need in 3 D, need + drain)  here
    choice = wish, down only to the highest wish of D/2    step.py
"""

from raylax.cluster.autoscaling.drain import backlog, drain
from raylax.cluster.autoscaling.means import Most
from raylax.cluster.autoscaling.need import Demand, need
from raylax.cluster.autoscaling.prediction import in_time
from raylax.cluster.autoscaling.receipt import Receipt
from raylax.cluster.autoscaling.snapshot import Snapshot, Targets
from raylax.cluster.autoscaling.step import Steps
from raylax.cluster.autoscaling.trend import Trend

EVERY_S = 2.0
HOLD_STARTS, HOLD_S = 3.0, 30.0
"""What was needed is kept for so many starts, and for so long at least: to keep a worker costs as
much as to start one again."""


class ScalingRule:
    """What is remembered of one model between two decisions."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.demand = Demand()
        self._trend, self._steps, self._kept = Trend(), Steps(targets.idle_s), Most()

    def decide(self, t: Snapshot) -> Receipt:
        """How many workers, from what is seen now."""
        demand, usable = self.demand, self.targets.usable(t.pace)
        demand.see(t)
        growth = self._trend.growth(t, demand.now, demand.grain)
        needed = need(demand.work, growth, demand.noise, usable)
        held = self._kept.of(t.now, needed, max(HOLD_S, HOLD_STARTS * t.start_s))
        waiting = backlog(t, self.targets, demand.hit, demand.length, demand.prefill)
        more = drain(waiting.left, self._trend.young, t.start_s)
        wish = max(held, needed + more)
        step = self._steps.of(t, wish)
        grown = demand.work * growth
        less, same, plus = (
            in_time(max(0, step.choice + by), grown, demand.noise, usable, waiting.left, t.start_s)
            for by in (-1, 0, 1)
        )
        return Receipt(
            inputs=t,
            usable=usable,
            work=demand.work,
            growth=growth,
            need=needed,
            hold=held,
            backlog_s=waiting.seconds,
            drain=more,
            wish=wish,
            in_time=(less, same, plus),
            choice=step.choice,
            reason=step.reason,
        )
