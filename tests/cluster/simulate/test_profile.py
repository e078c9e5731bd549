"""What a simulated engine is like: assumed, from a file, or learned by a real one."""

import json
from pathlib import Path

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.simulate.profile import ASSUMED, Profile, profile_named
from tests.support.cluster_reports import report

VALUES = {"a": 0.1, "b": 0.01, "c": 0.02, "d": 1e-6, "budget": 64, "kv": 999, "sequences": 4}


def test_from_a_file_as_it_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(Profile(**VALUES).as_json())  # type: ignore[arg-type]

    assert profile_named(str(path)) == Profile(**VALUES)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ASSUMED)
def test_the_assumed_ones(name: str) -> None:
    """Know more than one sequence and give each its token."""
    assert 1 < profile_named(name).sequences <= profile_named(name).budget


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**VALUES, "b": 0}, "seconds must not be negative, nor b zero"),
        ({**VALUES, "budget": 3}, "budget must be at least sequences"),
        ({**VALUES, "speed": 3}, "speed"),
        ({"a": 1}, "missing"),
    ],
)
def test_a_wrong_file(values: dict[str, float], said: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(values))

    with pytest.raises(UserError, match=f"profile {path}: .*{said}"):
        profile_named(str(path))


def test_learned_by_a_worker() -> None:
    """As /cluster tells of it, once it has run steps."""
    told = report("a")
    told["engine_config"].update(max_num_sequence=8)
    told["load"].update(step_tokens=64, pace={"a": 0.1, "b": 0.01, "c": 0.02, "d": 1e-6})

    assert Profile.of_worker(told) == Profile(**{**VALUES, "kv": 1600, "sequences": 8})  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="b has not learned its pace: send it requests"):
        Profile.of_worker(report("b"))


def test_an_unknown_name() -> None:
    with pytest.raises(UserError, match="profile tpu: No such file or directory; give gpu, cpu, a"):
        profile_named("tpu")
