"""Every family of metrics that a cluster may tell, and what of them a question may name."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import promql_parser
from prometheus_client.core import Metric

from raylax.cluster.metrics.exposition import GPU_GAUGES, Exposition
from raylax.cluster.metrics.state import Reports
from raylax.router.observe.exposition import families
from raylax.router.observe.measures import COUNTERS, RouterMeasures
from raylax.router.observe.metrics import CallMetrics
from tests.support.cluster_reports import report

GPU = {name: 1 for name, _, _ in GPU_GAUGES.values()} | {"uuid": "GPU-1", "name": "NVIDIA H200"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
LABEL = re.compile(r"\w+")
OVER_TIME = {"rate", "increase"}
"""Functions that only make sense of what never falls."""


def everything() -> list[Metric]:
    """Every family that there may be."""
    reports = Reports()
    reports.add({**report("a"), "gpus": [GPU], "energy_j": 1.0, "joules_per_token": 1.0}, 0.0)
    calls = RouterMeasures(router="r", models={"tiny": CallMetrics().measures()})
    return [*Exposition(reports, 0.0).collect(), *families(calls)]


def series() -> dict[str, set[str]]:
    """Labels of each name that Prometheus has."""
    found = {}
    for metric in everything():
        labels = {label for sample in metric.samples for label in sample.labels} | {"model_name"}
        if metric.name in COUNTERS and (label := COUNTERS[metric.name][1]):
            labels.add(label)  # of which nothing was counted
        for suffix in SUFFIXES.get(metric.type, ("",)):
            found[f"{metric.name}{suffix}"] = labels
    return found


class Asked(NamedTuple):
    """A question to Prometheus."""

    names: set[str]
    matched: dict[str, set[str]]
    """Labels by which series of a name are chosen."""
    grouped: set[str]
    """Labels that its answer is by, at some place."""
    over_time: set[str]
    """Names whose growth is asked."""


def asked(expression: str) -> Asked:
    """Raises ValueError for what is no PromQL."""
    found = Asked(set(), {}, set(), set())
    for node in nodes(promql_parser.parse(expression)):
        match node:
            case promql_parser.VectorSelector(name=str(name)):
                found.names.add(name)
                matchers = {one.name for one in node.matchers.matchers}
                found.matched.setdefault(name, set()).update(matchers)
            case promql_parser.AggregateExpr() | promql_parser.BinaryExpr() if node.modifier:
                found.grouped.update(LABEL.findall(str(node.modifier).partition("(")[2]))
            case promql_parser.Call() if node.func.name in OVER_TIME:
                found.over_time.update(one.vector_selector.name for one in node.args)
    return found


def nodes(expression: promql_parser.Expr) -> Iterator[promql_parser.Expr]:
    """All of an expression, ranges with what they are of."""
    visited: list[promql_parser.Expr] = []
    promql_parser.walk(expression, pre_visit=visited.append)
    for node in visited:
        yield node
        if isinstance(node, promql_parser.MatrixSelector):
            yield node.vector_selector


def wrongs(expression: str) -> Iterator[str]:
    """What of a question no raylax answers."""
    known, question = series(), asked(expression)
    for name in sorted(question.names):
        if name not in known:
            yield f"{name} is not told"
            continue
        for label in sorted(question.matched[name] - known[name] - {"le"}):
            yield f"{name} has no label {label}"
        grows = name.endswith(("_total", "_bucket", "_count", "_sum"))
        if name in question.over_time and not grows:
            yield f"{name} may fall"
    labels = set[str]().union(*(known.get(name, set()) for name in question.names), {"le"})
    yield from (f"no label {label}" for label in sorted(question.grouped - labels))
