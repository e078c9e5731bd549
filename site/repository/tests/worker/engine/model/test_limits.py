"""What is accepted. `tests/laws/test_every_request_ends.py` sees an engine refuse."""

import math

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.model.limits import ModelLimits, check

NAN = math.nan
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
        (Request("r", (1,), 5, logits_of=(3, 99)), "logits_of", "token id 99 is outside"),
        (Request("r", (1,), 5, Sampling(logit_bias=((99, 1.0),))), "logit_bias", "token id 99"),
        (
            Request("r", (1,), 5, Sampling(logit_bias=((9, 1.0), (9, 1.0)))),
            "logit_bias",
            "one entry",
        ),
        (Request("r", (1,), 5, Sampling(logit_bias=((9, NAN),))), "logit_bias", "-100 to 100"),
        (Request("r", (1,), 5, Sampling(temperature=-1)), "temperature", "from 0 to 2, found -1"),
        (Request("r", (1,), 5, Sampling(top_p=NAN)), "top_p", "from 0 to 1, found nan"),
        (Request("r", (1,), 5, Sampling(repetition_penalty=1e-46)), "repetition_penalty", "0.01"),
        (Request("r", (1,), 5, Sampling(presence_penalty=1e308)), "presence_penalty", "-2 to 2"),
        (Request("r", (1,), 5, Sampling(top_k=-1)), "top_k", "whole number from 0, found -1"),
        (Request("r", (1,), 5, Sampling(top_logprobs=10**6)), "top_logprobs", "from 0 to 20"),
        (Request("r", (1,), 5, Sampling(seed=0.5)), "seed", "whole number"),  # type: ignore[arg-type]
        (Request("r", (1,), 5, deadline_s=NAN), "deadline_s", "must be finite, found nan"),
        (Request("r", (1,), 5, deadline_s=math.inf), "deadline_s", "must be finite, found inf"),
        (Request("r", (1,), 5, share=0.0), "share", "from 0.001 to 1000, found 0.0"),
        (Request("r", (1,), 5, choice=-1), "choice", "whole number from 0, found -1"),
        (Request("r", (1,), 5, priority=7), "priority", "must be 0, 1 or 2"),  # type: ignore[arg-type]
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
