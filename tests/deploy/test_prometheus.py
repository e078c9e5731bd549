"""Alerts ask for what raylax tells, and each is tried by a test of promtool's."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.support import debian
from tests.support.metric_families import asked, wrongs
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
PROMTOOL = debian.PROMTOOL.program
"""Prometheus' own, where it is installed or `scripts/debian_tools` has fetched it."""


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


GROUPS = read("alerts.yaml")["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_is_told(rule: dict[str, Any]) -> None:
    """Names, labels, and growth of what never falls alone."""
    assert list(wrongs(rule["expr"])) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_and_where_to_look(rule: dict[str, Any]) -> None:
    """By the labels that its question leaves."""
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert shown <= asked(rule["expr"]).grouped


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    """And one cluster that is well, in which none does."""
    tests = read("alerts_test.yaml")["tests"]
    names = {rule["alert"] for rule in RULES}
    quiet = {one["alertname"] for test in tests for one in test.get("alert_rule_test", [])}
    fired = {
        name
        for name in names
        for test in tests
        for one in test.get("promql_expr_test", [])
        if f'"{name}"' in str(one) and one.get("exp_samples")
    }

    assert quiet == fired == names


def test_series_of_these_tests_are_told() -> None:
    """Else they would show nothing."""
    tests = read("alerts_test.yaml")["tests"]
    names = {one["series"] for test in tests for one in test.get("input_series", [])}

    assert [wrong for name in sorted(names) for wrong in wrongs(name)] == []


def test_prometheus_reads_the_alerts_that_are_beside_it() -> None:
    config = read("prometheus.yaml")
    (job,) = config["scrape_configs"]

    assert [(FOLDER / name).exists() for name in config["rule_files"]] == [True]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8000"]}]


@pytest.mark.skipif(PROMTOOL is None, reason="scripts/debian_tools fetches promtool")
def test_promtool_finds_that_each_fires_when_it_should() -> None:
    assert PROMTOOL is not None
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run([PROMTOOL, *command], cwd=FOLDER, capture_output=True, text=True)

        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("raylax_workers_up", "raylax_workers_up is not told"),
        ("sum by (node) (raylax_worker_up)", "no label node"),
        ('raylax_attempts_total{result="lost"}', "raylax_attempts_total has no label result"),
        ("rate(raylax_worker_up[5m])", "raylax_worker_up may fall"),
    ],
)
def test_a_question_that_nobody_answers_is_found(expression: str, wrong: str) -> None:
    assert wrong in list(wrongs(expression))
