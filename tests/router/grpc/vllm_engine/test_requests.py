"""Requests of gateways in terms of OpenAI's."""

import pytest

from raylax.proto.pb import vllm_engine_pb2 as pb
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
