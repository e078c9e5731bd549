"""What a checkpoint says of sampling."""

from typing import Any

from raylax.proto.calls.sampling_defaults import SamplingDefaults


def test_a_checkpoints_own_temperature_may_be_zero() -> None:
    """Zero is a temperature; null is none."""
    given: list[dict[str, Any]] = [{"temperature": 0}, {"temperature": None}, {"do_sample": False}]

    assert [SamplingDefaults.of(config).temperature for config in given] == [0.0, 1.0, 0.0]
