"""Durations that callers name."""

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.router.access.durations import positive_seconds


def test_seconds_may_be_a_part_of_one() -> None:
    """Of a header's text, or of a field that is a number already."""
    assert [positive_seconds("X", value) for value in ("0.5", " 60 ", 1e-3)] == [0.5, 60.0, 1e-3]


@pytest.mark.parametrize(
    ("value", "found"),
    [("soon", "'soon'"), ("0", "'0'"), ("-1", "'-1'"), ("inf", "'inf'"), ("nan", "'nan'"),
     ("", "''"), (0.0, "0"), (-2.5, "-2.5"), (float("nan"), "nan"),
     ("1e308", "'1e308'"), (31536001.0, "3.1536e+07")],
)  # fmt: skip
def test_others_are_refused_by_name(value: str | float, found: str) -> None:
    """With what was given, as it was given."""
    with pytest.raises(InvalidRequest) as refused:
        positive_seconds("X-Timeout", value)

    assert refused.value.param == "X-Timeout"
    assert (
        refused.value.message
        == f"X-Timeout: must be seconds, more than 0 and at most 31536000, found {found}"
    )
