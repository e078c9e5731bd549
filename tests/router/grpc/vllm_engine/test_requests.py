"""Requests of gateways in terms of OpenAI's."""

import numpy as np
import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.proto.ranges import BIAS, SAMPLING, Range
from raylax.router.grpc.vllm_engine.requests import generate_request


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.7),
        ("top_p", 0.95),
        ("min_p", 0.05),
        ("frequency_penalty", -1.1),
        ("presence_penalty", 0.3),
        ("repetition_penalty", 0.01),
    ],
)
def test_a_number_is_the_one_that_was_written(name: str, value: float) -> None:
    """On the way it has 32 bits, of which 0.7 is none: by HTTP it would be another temperature, and
    other tokens."""
    params = pb.SamplingParams()
    setattr(params, name, value)

    made = generate_request(pb.GenerateRequest(text="a", sampling_params=params))

    assert getattr(made, name) == value


def test_so_is_a_bias() -> None:
    params = pb.SamplingParams(logit_bias={5: -0.1})

    assert generate_request(pb.GenerateRequest(text="a", sampling_params=params)).logit_bias == {
        "5": -0.1
    }


THEIRS = [(name, range_) for name, range_ in SAMPLING.items() if name != "typical_p"]


@pytest.mark.parametrize(("name", "range_"), [*THEIRS, ("logit_bias", BIAS)])
def test_a_number_out_of_its_range_is_refused(name: str, range_: Range) -> None:
    """Of 32 bits: the next one at either end, and what is no number."""
    least, most, end = *map(np.float32, range_), np.float32(np.inf)
    beyond = np.nextafter(least, -end), np.nextafter(most, end)

    for value in (*map(float, beyond), float("nan"), float("inf"), float("-inf")):
        given = {5: value} if name == "logit_bias" else value
        params = pb.SamplingParams(**{name: given})  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest) as caught:
            generate_request(pb.GenerateRequest(text="a", sampling_params=params))
        assert (caught.value.param or "").startswith(name)
