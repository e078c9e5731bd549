"""What must be the same on all machines of a cluster."""

import pytest

from raylax.cluster.membership.fit import wrong_clock, wrong_model, wrong_versions
from raylax.cluster.membership.said import Served, own_versions

OWN = own_versions()


def test_a_machine_fits_to_itself() -> None:
    assert [*wrong_versions(OWN, OWN), *wrong_clock(0.0), *wrong_clock(-1.9)] == []


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"ray": "2.59.0"}, f"ray {OWN['ray']}, not 2.59.0"),
        ({"python": "3.10"}, f"python {OWN['python']}, not 3.10"),
        ({"kernels": "0"}, f"kernels {OWN['kernels']}, not 0"),
        ({"raylax": "9", "ray": "9"}, f"ray {OWN['ray']}, not 9; raylax {OWN['raylax']}, not 9"),
        ({"more": "1"}, "more none, not 1"),
    ],
)
def test_another_version(theirs: dict[str, str], said: str) -> None:
    """All that differs is named at once."""
    (line,) = wrong_versions(OWN, OWN | theirs)

    assert line == f"all machines of a cluster have the same versions, and this one has {said}"


def test_a_patch_of_python_may_differ() -> None:
    """Ray minds none, and no token comes of it."""
    assert OWN["python"].count(".") == 1


@pytest.mark.parametrize(("ahead_s", "how"), [(37.25, "37.2 s ahead"), (-2.1, "2.1 s behind")])
def test_a_clock_that_is_off(ahead_s: float, how: str) -> None:
    (line,) = wrong_clock(ahead_s)

    assert f"may differ by 2 s, and this one is {how} of the first one's" in line


def test_another_model_at_the_same_path() -> None:
    served = Served(name="llama", checkpoint="/models/llama", model_id="a", engine="{}")
    (line,) = wrong_model(served, "b")

    assert line.startswith("llama: what lies at /models/llama here is another model than there")
    assert [*wrong_model(served, "a")] == []
