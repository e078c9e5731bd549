"""Documents cannot rot: what can be set, asked or measured is written down."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from raylax.cluster import environment
from raylax.cluster.config.reading import read_config
from raylax.cluster.config.schema import PARTS, SECTIONS, ClusterConfig
from raylax.cluster.config.sections import KeyEntry
from raylax.cluster.metrics.exposition import COUNTERS, Exposition
from raylax.cluster.metrics.state import Reports
from raylax.router.observe.exposition import families
from raylax.router.observe.measures import RouterMeasures
from raylax.router.observe.metrics import CallMetrics
from raylax.worker.config import ABSENT, EngineConfig
from tests.support.cluster_options import COMMANDS, options
from tests.support.cluster_reference import BLOCK, OF_NO_USE, PAGE, TABLES, regenerated
from tests.support.cluster_reports import report
from tests.support.paths import ROOT

EXAMPLE = ROOT / "deploy" / "raylax.yaml"
ROOM = (ROOT / "cluster" / "README.md").read_text()
REFERENCE = PAGE.read_text()
NO_FLAGS = {"engine", "aliases", "allowed_hosts", "cors_origins"}
"""What stands in the file only."""


def written(name: str, page: str = REFERENCE) -> bool:
    """As code."""
    return re.search(rf"`[^`]*{re.escape(name)}\b[^`]*`", page) is not None


def test_the_tables_of_the_reference_are_what_the_code_says() -> None:
    """Else run `scripts/reference`."""
    assert regenerated(REFERENCE) == REFERENCE
    assert {name for _, name, _ in BLOCK.findall(REFERENCE)} == TABLES.keys()


def test_every_environment_variable_is_on_the_page() -> None:
    lines = re.findall(r"^    ([A-Z][A-Z_, ]+)(?:  |$)", str(environment.__doc__), re.MULTILINE)
    names = [name.strip() for line in lines for name in line.split(",")]

    assert len(names) == 15
    assert [name for name in names if not written(name)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_on_the_page(command: str) -> None:
    missing = [option for option in options(command) if not written(option)]

    assert written(f"raylax {command}")
    assert missing == []


def test_every_setting_on_top_is_a_flag() -> None:
    """And every flag but the file itself is a setting."""
    flags = {option.removeprefix("--").replace("-", "_") for option in options("serve")}
    settings = ClusterConfig.model_fields.keys() - PARTS.keys() - NO_FLAGS

    assert (flags - {"config", "set"}) | {"model"} == settings


def test_the_example_shows_every_setting() -> None:
    values = yaml.safe_load(EXAMPLE.read_text())
    engine = {name for name in EngineConfig.__dataclass_fields__ if name not in ABSENT}

    assert values.keys() == ClusterConfig.model_fields.keys()
    for name, section in SECTIONS.items():
        assert values[name].keys() == section.model_fields.keys()
    assert values["engine"].keys() == engine - OF_NO_USE - ClusterConfig.model_fields.keys()


def test_the_examples_values_are_the_defaults() -> None:
    loaded = read_config(EXAMPLE, {})

    assert loaded.model_copy(update={"engine": {}}) == ClusterConfig()
    assert loaded.engine_config(threads=3) == ClusterConfig().engine_config(threads=3)


def test_the_example_shows_a_key() -> None:
    """As comments: there is no key that everybody has."""
    shown = re.findall(r"^# [- ] (\w+):", EXAMPLE.read_text(), re.MULTILINE)

    assert shown == list(KeyEntry.model_fields)


def test_the_example_comments_every_setting() -> None:
    lines = EXAMPLE.read_text().splitlines()
    settings = [line for line in lines if re.match(r"\s*\w+:", line)]
    bare = [line for line in settings if "#" not in line]

    assert [line.strip() for line in bare] == ["grpc_port: 9000", "limits:"]


def test_every_setting_is_on_the_page() -> None:
    example: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    sections = [example[name] for name in (*SECTIONS, "engine")]
    names = [*example, *(name for section in sections for name in section), *KeyEntry.model_fields]

    assert [name for name in names if not written(name)] == []


def test_every_metric_is_on_the_page() -> None:
    """The workers' and the routers'."""
    reports = Reports()
    reports.add(report("a"), now=0.0)
    calls = RouterMeasures(router="r", models={"tiny": CallMetrics().measures()})
    metrics = [*Exposition(reports, 0.0).collect(), *families(calls)]
    counters = {f"{name}_total" for name in COUNTERS}

    assert counters <= {s.name for metric in metrics for s in metric.samples}
    assert [metric.name for metric in metrics if not written(metric.name, ROOM)] == []


DEEPER = ("docs", "cluster", "kernels/cpu", "deploy")
PAGES = [
    str(page.relative_to(ROOT))
    for pattern in ("*.md", "[a-z]*/*.md", *(f"{folder}/*/*.md" for folder in DEEPER))
    for page in sorted(ROOT.glob(pattern))
]


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file that is there, and to a heading that it has."""
    source = ROOT / page
    lost = []
    for link in re.findall(r"\]\((?!http)([^)]+)\)", source.read_text()):
        file, _, heading = link.partition("#")
        target = source.parent / file if file else source
        if not target.exists() or (heading and heading not in anchors(target)):
            lost.append(link)

    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page: str) -> None:
    """By its path from the root or from the page, or by its name alone in the page's folder."""
    source = ROOT / page
    named = re.findall(r"`([a-z0-9_/]+\.(?:py|proto|c))`", source.read_text())
    near = source.parent if source.parent.name != "docs" else ROOT
    lost = [name for name in named if not ((ROOT / name).exists() or any(near.rglob(name)))]

    assert lost == []


def test_the_page_names_the_rooms_that_there_are() -> None:
    """Every folder and every module beside them is in its table, and no other."""
    inside = (ROOT / "cluster").iterdir()
    rooms = {f"{path.name}/" for path in inside if any(path.glob("*.py"))}
    modules = {path.name for path in (ROOT / "cluster").glob("*.py")}
    first_column = re.findall(r"^\| (\[?`.*?) \|", ROOM, re.MULTILINE)
    table = {name for cell in first_column for name in re.findall(r"`(\w+(?:\.py|/))`", cell)}

    assert table == modules | rooms
