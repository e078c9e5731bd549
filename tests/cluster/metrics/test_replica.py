"""The actor around what Metrics knows: whoever asks, and how often, it goes on listening."""

import asyncio
from collections.abc import Awaitable

import pytest

from raylax.cluster.metrics.record import Moment
from raylax.cluster.metrics.replica import REPORTED_EVERY_S, MetricsReplica
from tests.support.cluster_reports import report


async def test_a_flood_of_questions_holds_up_no_report() -> None:
    """One that comes after all of them is heard after the first answer at the latest."""
    replica, ended = MetricsReplica(), list[str]()

    async def noted(name: str, work: Awaitable[object]) -> None:
        await work
        ended.append(name)

    await replica.report(report("a"))
    questions = [replica.history({}) for _ in range(20)] + [replica.cluster() for _ in range(20)]
    flood = [noted("answer", one) for one in questions]
    await asyncio.gather(*flood, noted("report", replica.report(report("b"))))

    assert ended.index("report") <= 1
    assert len(ended) == 41


async def test_a_flood_of_scrapes_is_answered_by_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there may be other reports; each form has its own."""
    seconds = 0.0
    monkeypatch.setattr(
        "raylax.cluster.metrics.replica.now", lambda: Moment(1e6 + seconds, seconds)
    )
    replica = MetricsReplica()
    await replica.report(report("a", generated_tokens=1))
    first = await replica.exposition(openmetrics=False)
    await replica.report(report("a", generated_tokens=2))
    again = await asyncio.gather(*(replica.exposition(openmetrics=False) for _ in range(9)))
    other = await replica.exposition(openmetrics=True)
    seconds = REPORTED_EVERY_S
    later = await replica.exposition(openmetrics=False)

    assert all(one is first for one in again)
    assert b'generation_tokens_total{model_name="tiny"} 1.0' in first
    assert b'generation_tokens_total{model_name="tiny"} 2.0' in other
    assert b'generation_tokens_total{model_name="tiny"} 2.0' in later
