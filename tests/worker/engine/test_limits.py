"""What is accepted. `tests/laws/test_every_request_ends.py` sees an engine refuse."""

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.limits import ModelLimits, check

CONFIG = EngineConfig(max_single_sequence_length=20, max_num_sequence=3, max_waiting=4)
LIMITS = ModelLimits(CONFIG, 99)


@pytest.mark.parametrize(("prompt", "max_tokens"), [(5, 100), (5, 15), (19, 7)])
def test_an_answer_may_be_cut_to_what_a_sequence_holds(prompt: int, max_tokens: int) -> None:
    """`max_tokens` is what a client wants at most, not what it needs."""
    check(Request("r", (1,) * prompt, max_tokens), LIMITS)


@pytest.mark.parametrize(
    ("request_", "param", "said"),
    [
        (Request("r", (), 5), "prompt", "must not be empty"),
        (Request("r", (1,) * 20, 5), "prompt", "the prompt has 20 tokens, the limit is 19"),
        (Request("r", (1,) * 15, 9, history=(1,) * 5), "prompt", "has 20 tokens"),
        (Request("r", (1, 99), 5), "prompt", "token id 99 is outside the vocabulary of 99"),
        (Request("r", (-1,), 5), "prompt", "token id -1 is outside"),
        (Request("r", (1,), 5, history=(100,)), "history", "token id 100 is outside"),
        (Request("r", (1,), 5, Sampling(logit_bias=((99, 1.0),))), "logit_bias", "token id 99"),
        (Request("r", (1,), 0), "max_tokens", "history of 0 tokens, found 0"),
        (Request("r", (1,), 2, history=(1, 2)), "max_tokens", "history of 2 tokens, found 2"),
    ],
)
def test_refusals_name_the_field(request_: Request, param: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(request_, LIMITS)

    assert caught.value.param == param
    assert said in caught.value.message


def test_places_are_for_those_who_run_and_those_who_wait() -> None:
    assert LIMITS.capacity == 7
