"""What a checkpoint says of sampling."""

from typing import Any

import pytest

from raylax.proto.calls.sampling_defaults import SamplingDefaults
from raylax.proto.openai.shared import SamplingFields


def test_a_checkpoints_own_temperature_may_be_zero() -> None:
    """Zero is a temperature; null is none."""
    given: list[dict[str, Any]] = [{"temperature": 0}, {"temperature": None}, {"do_sample": False}]

    assert [SamplingDefaults.of(config).temperature for config in given] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1), ("temperature", 2.5), ("temperature", "hot"), ("top_p", 1.5),
        ("top_p", -0.1), ("top_k", 2.5), ("top_k", -7), ("min_p", 1.01), ("min_p", [0.1]),
        ("repetition_penalty", -1), ("repetition_penalty", float("inf")),
        ("presence_penalty", 2.5), ("frequency_penalty", "x"),
        ("temperature", float("nan")), ("repetition_penalty", True),
    ],
)  # fmt: skip
def test_what_no_client_could_ask_for(field: str, value: object) -> None:
    """Is no default either: the file, the field and the value are named."""
    with pytest.raises(ValueError, match=f"{field}.*found"):
        SamplingDefaults.of({field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_p", 0.25), ("presence_penalty", 0.5), ("frequency_penalty", -0.5), ("temperature", 0.7)],
)
def test_a_default_holds_where_the_client_says_nothing(field: str, value: float) -> None:
    """Zero of a client is something."""
    defaults = SamplingDefaults.of({field: value})
    bodies = SamplingFields(), SamplingFields.model_validate({field: 0.0})

    drawn = [getattr(defaults.fill_in(body, 99, 1, None), field) for body in bodies]
    assert drawn == [value, 0.0]


def test_zero_cuts_nothing() -> None:
    defaults = SamplingDefaults.of({"top_p": 0, "top_k": 0})

    assert (defaults.top_p, defaults.top_k) == (1.0, 0)


@pytest.mark.parametrize(
    ("value", "stop"), [(None, ()), ("a", ("a",)), (["a", "b"], ("a", "b")), ([], ()), ("", ())]
)
def test_strings_that_end_an_answer(value: object, stop: tuple[str, ...]) -> None:
    assert SamplingDefaults.of({"stop_strings": value}).stop == stop


@pytest.mark.parametrize("value", [3, [3], [""], {"a": 1}, ["x" * 1025], ["x"] * 17])
def test_strings_that_no_client_could_give(value: object) -> None:
    with pytest.raises(ValueError, match="stop_strings: .*, found"):
        SamplingDefaults.of({"stop_strings": value})
