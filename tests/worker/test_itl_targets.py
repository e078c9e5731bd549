"""Targets between two tokens as they may be set, and what is said of those that may not."""

import json
from types import MappingProxyType
from typing import Any

import pytest

from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.itl_targets import MOST_MS

SCALAR = "must be auto, or a number of milliseconds from 0 to 3600000"


@pytest.mark.parametrize("value", ["auto", 0, 0.0, 1e-9, 50, 75.5, MOST_MS])
def test_one_for_everybody_is_kept_as_it_is(value: Any) -> None:
    assert EngineConfig(target_itl_ms=value).target_itl_ms == value


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"low": 500}, ["auto", "auto", 500]),
        ({"low": 0, "high": 30}, [30, "auto", 0]),
        ({"normal": "auto"}, ["auto", "auto", "auto"]),
        (MappingProxyType({"high": 1, "normal": 2.5, "low": 3}), [1, 2.5, 3]),
    ],
)
def test_who_is_left_out_has_auto(given: Any, kept: list[Any]) -> None:
    """The complete configuration says so of every class, and can be given again."""
    config = EngineConfig(target_itl_ms=given)
    said = json.loads(config.asjson())["target_itl_ms"]

    assert said == dict(zip(("high", "normal", "low"), kept, strict=True))
    assert EngineConfig.from_json(config.asjson()) == config.complete(max_waiting=1024) == config


def test_what_was_given_may_change_afterwards() -> None:
    given = {"low": 500.0}
    config = EngineConfig(target_itl_ms=given)  # type: ignore[arg-type]
    given["low"] = -1

    assert config.target_itl_ms == {"high": "auto", "normal": "auto", "low": 500.0}


NAN, INF = float("nan"), float("inf")
WRONG = [-1, -1e-9, NAN, INF, MOST_MS + 1, 10**400, True, None, "fast", "50", [50]]


@pytest.mark.parametrize("value", [*WRONG, {}, (), b"auto"])
def test_what_is_no_target_is_named_with_the_rule(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        EngineConfig(target_itl_ms=value)

    said = f"target_itl_ms {SCALAR}, or that for some of high, normal, low, found {value!r}"
    assert str(caught.value) == said


@pytest.mark.parametrize("value", [*WRONG, {}, {"low": 1}])
@pytest.mark.parametrize("name", ["high", "normal", "low"])
def test_what_is_none_for_a_class_is_named_with_it(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        EngineConfig(target_itl_ms={"normal": 50, name: value})

    assert str(caught.value) == f"target_itl_ms.{name} {SCALAR}, found {value!r}"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("hihg", "unknown class 'hihg'; did you mean high?"),
        ("LOW", "unknown class 'LOW'; did you mean low?"),
        ("batch", "unknown class 'batch'; there are high, normal, low"),
        (0, "unknown class 0; there are high, normal, low"),
        (None, "unknown class None; there are high, normal, low"),
    ],
)
def test_an_unknown_class_is_named_with_those_that_there_are(key: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EngineConfig(target_itl_ms={"low": 500, key: 30})

    assert str(caught.value) == f"target_itl_ms: {said}"
