"""The ranges of a request's numbers: their ends, and that each body and message holds them."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from raylax.proto import grpc_api, ranges
from raylax.proto.anthropic.messages import CountTokensRequest, MessagesRequest
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.body import StrictModel, validated
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.scores import ClassifyRequest, RerankRequest, ScoreRequest
from raylax.proto.pb import raylax_pb2 as pb
from raylax.proto.ranges import Range
from tests.support.ends import outside

ENDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (0.01, 10),
}
HI = [{"role": "user", "content": "hi"}]
BODIES: dict[type[StrictModel], dict[str, Any]] = {
    ChatCompletionRequest: {"messages": HI},
    CompletionRequest: {"prompt": "hi"},
    ResponsesRequest: {"input": "hi"},
    MessagesRequest: {"messages": HI, "max_tokens": 1},
}
FIELDS = [(body, name) for body in BODIES for name in ENDS if name in body.model_fields]
MESSAGES: dict[str, Callable[[pb.Sampling], Any]] = {
    "chat": lambda sampling: grpc_api.chat_request(
        pb.ChatRequest(messages=[pb.Message(role="user", content="hi")], sampling=sampling)
    ),
    "generate": lambda sampling: grpc_api.generate_request(
        pb.GenerateRequest(text="hi", sampling=sampling)
    ),
}


def test_the_ends_are_those_of_the_field_s_apis() -> None:
    """But for repetition: what is near 0 makes infinities of logits, and nobody means more."""
    assert {name: tuple(one) for name, one in ranges.SAMPLING.items()} == ENDS
    assert tuple(ranges.BIAS) == (-100, 100)
    assert tuple(ranges.TOP_LOGPROBS) == (0, 20)


@pytest.mark.parametrize("value", ["1", None, [1], 1j, math.nan, 0.99, 3.01, True])
def test_what_is_no_number_of_a_range(value: object) -> None:
    with pytest.raises(InvalidRequest, match="x: must be a number from 1 to 3, found ") as caught:
        Range(1, 3).check(value, "x")

    assert caught.value.param == "x"


@pytest.mark.parametrize(("body", "name"), FIELDS)
def test_each_body_holds_them(body: type[StrictModel], name: str) -> None:
    """The ends are allowed, the next number is not."""
    for value in ENDS[name]:
        assert getattr(validated(body, {**BODIES[body], name: value}), name) == value
    for value in outside(*ENDS[name]):
        with pytest.raises(InvalidRequest) as caught:
            validated(body, {**BODIES[body], name: value})
        assert caught.value.param == name


@pytest.mark.parametrize("body", [ChatCompletionRequest, CompletionRequest])
def test_so_they_do_of_a_bias(body: type[StrictModel]) -> None:
    for value in ranges.BIAS:
        validated(body, {**BODIES[body], "logit_bias": {"5": value}})
    for value in outside(*ranges.BIAS):
        with pytest.raises(InvalidRequest) as caught:
            validated(body, {**BODIES[body], "logit_bias": {"5": value}})
        assert caught.value.param == "logit_bias.5"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_each_body_has_an_end_in_time(body: type[StrictModel], seconds: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(body, {**BODIES[body], "timeout": seconds})

    assert caught.value.param == "timeout"


@pytest.mark.parametrize("made", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("name", ENDS)
def test_each_message_holds_them(made: Callable[[pb.Sampling], Any], name: str) -> None:
    for value in ENDS[name]:
        assert getattr(made(pb.Sampling(**{name: value})), name) == value  # type: ignore[arg-type]
    for value in outside(*ENDS[name]):
        with pytest.raises(InvalidRequest) as caught:
            made(pb.Sampling(**{name: value}))  # type: ignore[arg-type]
        assert caught.value.param == name


@pytest.mark.parametrize("made", MESSAGES.values(), ids=MESSAGES)
def test_so_they_do_of_log_probabilities(made: Callable[[pb.Sampling], Any]) -> None:
    for count in ranges.TOP_LOGPROBS:
        made(pb.Sampling(top_logprobs=int(count)))
    with pytest.raises(InvalidRequest, match="logprobs: .* less than or equal to 20, found 21"):
        made(pb.Sampling(top_logprobs=21))


NUMBERS = ("integer", "number")
EVERY_BODY: dict[type[StrictModel], dict[str, Any]] = {
    **BODIES,
    EmbeddingRequest: {"input": "hi"},
    ScoreRequest: {"text_1": "hi", "text_2": "ho"},
    RerankRequest: {"query": "hi", "documents": ["ho"]},
    ClassifyRequest: {"input": "hi"},
    CountTokensRequest: {"messages": HI},
}


def numbers_of(body: type[StrictModel]) -> list[str]:
    """The fields of a body that are numbers, by what its schema says."""
    fields = body.model_json_schema()["properties"]
    kinds = {name: one.get("anyOf", [one]) for name, one in fields.items()}
    return [
        name
        for name, each in kinds.items()
        if any(kind.get("type") in NUMBERS for kind in each) and name != "priority"
    ]


@pytest.mark.parametrize("body", EVERY_BODY, ids=lambda body: body.__name__)
def test_no_number_is_a_boolean_or_beyond_all_measure(body: type[StrictModel]) -> None:
    """A year is the longest time; what is counted has 64 bits. So every number has two ends."""
    names = numbers_of(body)
    assert names
    for name in names:
        for value in (True, 1e308, -1e308, 1 << 63, -(1 << 64), -1e300):
            with pytest.raises(InvalidRequest, match=f"^{name}: ") as refused:
                validated(body, {**EVERY_BODY[body], name: value})
            assert refused.value.param == name


@pytest.mark.parametrize(("seconds", "may"), [(86_400 * 365, True), (86_400 * 365 + 1, False)])
def test_a_year_is_the_longest_timeout(seconds: float, may: bool) -> None:
    """In bodies and in messages."""
    message = pb.GenerateRequest(text="hi", timeout_s=seconds)
    makers: list[Callable[[], CompletionRequest]] = [
        lambda: validated(CompletionRequest, {"prompt": "hi", "timeout": seconds}),
        lambda: grpc_api.generate_request(message),
    ]
    for make in makers:
        if may:
            assert make().timeout == seconds
        else:
            with pytest.raises(InvalidRequest, match="^timeout: "):
                make()


@pytest.mark.parametrize("value", [True, 1.5, 2, "1"])
def test_a_field_that_may_only_be_1_is_nothing_else(value: object) -> None:
    """To Python true is 1."""
    with pytest.raises(InvalidRequest, match="^best_of: may only be 1"):
        validated(ChatCompletionRequest, {"messages": [HI], "best_of": value})
