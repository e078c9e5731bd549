"""The board for Grafana: every panel asks for what raylax tells, and has its place."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.support.metric_families import asked, series, wrongs
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy" / "grafana"
BOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "raylax.json").read_text())
PANELS: list[dict[str, Any]] = [one for one in BOARD["panels"] if one["type"] != "row"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
MODEL = 'model_name=~"$model"'


def expressions(panel: dict[str, Any]) -> list[str]:
    """With what Grafana puts in the place of its variable."""
    return [one["expr"].replace("$__rate_interval", "1m") for one in panel["targets"]]


@pytest.mark.parametrize("panel", PANELS, ids=lambda one: f"{one['id']} {one['title']}")
def test_a_panel_asks_for_what_is_told(panel: dict[str, Any]) -> None:
    """Of the models that are chosen; and its legend is by labels that are there."""
    known = series()
    for target, expression in zip(panel["targets"], expressions(panel), strict=True):
        question = asked(expression)
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        kept = question.grouped or set[str]().union(*(known[name] for name in question.names))

        assert list(wrongs(expression)) == []
        assert all("model_name" in labels for labels in question.matched.values())
        assert expression.count(MODEL) == len(re.findall(r"(?:vllm:|raylax_|DCGM_)\w+", expression))
        assert shown <= kept
        assert target["datasource"] == SOURCE


def test_panels_have_names_units_and_ids_of_their_own() -> None:
    ids = [one["id"] for one in BOARD["panels"]]

    assert len({*ids}) == len(ids)
    assert all(one["title"] and one["fieldConfig"]["defaults"]["unit"] for one in PANELS)
    assert all(len({t["refId"] for t in one["targets"]}) == len(one["targets"]) for one in PANELS)


def test_no_panel_lies_on_another() -> None:
    """In a grid of 24 columns."""

    def overlap(a: dict[str, int], b: dict[str, int]) -> bool:
        return all(a[at] < b[at] + b[size] and b[at] < a[at] + a[size] for at, size in ("xw", "yh"))

    places = [one["gridPos"] for one in BOARD["panels"]]

    assert all(one["x"] + one["w"] <= 24 for one in places)
    assert not any(overlap(a, b) for a, b in combinations(places, 2))


def test_a_board_chooses_among_sources_and_models() -> None:
    source, model = BOARD["templating"]["list"]

    assert (source["name"], source["type"], source["query"]) == (
        "datasource", "datasource", "prometheus"
    )  # fmt: skip
    assert model["query"]["query"] == "label_values(raylax_calls_inflight, model_name)"
    assert "raylax_calls_inflight" in series()


def test_provisioning_finds_a_source_and_the_board() -> None:
    """Of the kind and in the directory that the README says."""
    sources = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text())
    boards = yaml.safe_load((FOLDER / "provisioning/dashboards/raylax.yaml").read_text())

    assert [one["type"] for one in sources["datasources"]] == ["prometheus"]
    assert [one["type"] for one in boards["providers"]] == ["file"]
    assert boards["providers"][0]["options"]["path"] in (ROOT / "deploy/README.md").read_text()
