"""What is told of the cluster is on the page of the API, field by field."""

import re
from dataclasses import fields

import pytest
from pydantic import BaseModel

from raylax.cluster.metrics import view
from raylax.cluster.metrics.events import Event, EventKind
from raylax.cluster.metrics.history.questions import History, HistoryRow, Question
from raylax.cluster.metrics.record import ClusterRecord
from raylax.proto.vocabulary import Load, StepTime
from raylax.router.observe.measures import RunningRequest
from raylax.worker.hardware.nvml import GpuSample
from tests.support.cluster_reports import report
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
SECTION = PAGE.split("\n## The cluster\n")[1].split("\n## ")[0]
ABOUT = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", SECTION, re.MULTILINE))
OBJECTS: dict[str, type[BaseModel]] = {
    "the body": view.ClusterView,
    "a worker": view.ClusterWorker,
    "`load`": view.WorkerLoad,
    "`pace`": view.Pace,
    "`done`": view.Done,
    "`census`": view.Census,
    "of a class, of a tenant": view.Present,
    "a GPU": view.Gpu,
    "a router": view.ClusterRouter,
    "a request": RunningRequest,
    "of a model": view.RouterModel,
    "sums": view.Sums,
}


def coded(text: str) -> set[str]:
    found: list[str] = re.findall(r"`([^`]+)`", text)
    return {one for one in found if re.fullmatch(r"\w+", one)}


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_of_the_cluster_is_on_the_page_with_its_fields(name: str) -> None:
    """And no field that it has not."""
    assert coded(ABOUT[name]) == OBJECTS[name].model_fields.keys()


def test_all_that_a_worker_reports_is_told() -> None:
    """Nothing is left out on the way: a new field of a report has its place in the view, too."""
    told = report("a")
    load = {field.name for field in fields(Load)} | {"kv_usage"}

    assert view.ClusterWorker.model_fields.keys() == told.keys() | {"age_s"}
    assert view.WorkerLoad.model_fields.keys() == load
    assert view.Pace.model_fields.keys() == {field.name for field in fields(StepTime)}
    assert view.Done.model_fields.keys() == told["done"].keys()
    assert view.Gpu.model_fields.keys() == {field.name for field in fields(GpuSample)}


def test_every_parameter_of_history_is_on_the_page() -> None:
    told = {name for row in ABOUT for name in coded(row)}

    assert Question.model_fields.keys() <= told
    assert set(ClusterRecord().kinds) <= coded(ABOUT["`kind`"])


@pytest.mark.parametrize("model", [History, HistoryRow, Event], ids=lambda one: str(one.__name__))
def test_every_field_of_the_answers_is_on_the_page(model: type[BaseModel]) -> None:
    missing = [name for name in model.model_fields if not re.search(rf"[\"`]{name}[\"`]", SECTION)]

    assert missing == []


def test_every_kind_of_event_is_on_the_page() -> None:
    told = {name for row in ABOUT for name in coded(row)}

    assert {str(kind) for kind in EventKind} <= told
