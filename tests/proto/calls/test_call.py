"""API calls: what is refused and how, and what comes back in OpenAI's forms."""

import json
import random
from pathlib import Path
from typing import Any

import openai.types
import openai.types.chat
import pytest

from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.errors import (
    DeadlineExceeded,
    EngineFailure,
    InvalidRequest,
    Overloaded,
    PromptTooLong,
    RaylaxError,
    RequestFailed,
    WorkerUnavailable,
)
from raylax.proto.frontend import Frontend
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.chat import ChatCompletionChunk, ChatCompletionRequest, Message
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Fault, Finish, TokenLogprobs

ASK = '{"messages": [{"role": "user", "content": "hi"}]'
ASKED = [{"role": "user", "content": "hi"}]
CITY_TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 64, random.Random(1))


def ids(text: str) -> tuple[int, ...]:
    return tuple(ord(c) - 32 for c in text.replace(" ", chr(96 + 32)))


def chat(frontend: Frontend, **fields: Any) -> Call:
    messages = [{"role": "user", "content": "hi"}]
    return frontend.chat(ChatCompletionRequest.model_validate({"messages": messages, **fields}))


def answer_of(call: Call) -> openai.types.chat.ChatCompletion:
    """As OpenAI's client reads it."""
    return openai.types.chat.ChatCompletion.model_validate_json(ChatWriter(call, "tiny", 1).whole())


def tell(call: Call, text: str, finish: Finish | None = Finish.LENGTH, choice: int = 0) -> None:
    """The engine says the text, a token at a time."""
    request = call.requests[choice]
    said = ids(text)
    for i, token in enumerate(said):
        call.feed(Delta(request.id, (token,), finish=finish if i == len(said) - 1 else None))


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ('{"messages": []}', "messages", "at least 1 item"),
        ("{}", "messages", "Field required"),
        ('{"messages": [{"role": "king", "content": "x"}]}', "messages.0.role", "found 'king'"),
        ('{"messages": [{"role": "user"}]}', "messages.0", "content"),
        (ASK + ', "temperature": 3}', "temperature", "less than or equal to 2, found 3"),
        (ASK + ', "temperature": "hot"}', "temperature", "valid number, found 'hot'"),
        (ASK + ', "temperature": NaN}', "temperature", "finite"),
        (ASK + ', "top_p": -0.1}', "top_p", "greater than or equal to 0, found -0.1"),
        (ASK + ', "max_tokens": 0}', "max_tokens", "found 0"),
        (ASK + ', "max_tokens": "5"}', "max_tokens", "valid integer, found '5'"),
        (ASK + ', "n": 17}', "n", "less than or equal to 16, found 17"),
        (ASK + ', "logit_bias": {"x": 1}}', "logit_bias.x", "[0-9]"),
        (ASK + ', "logit_bias": {"' + "9" * 5000 + '": 1}}', f"logit_bias.{'9' * 64}", "[0-9]"),
        (ASK + ', "logit_bias": {"5": 101}}', "logit_bias.5", "found 101"),
        (ASK + ', "stop": ["a", ""]}', "stop.1", "at least 1 character"),
        (ASK + ', "stop": ["a"' + ', "a"' * 16 + "]}", "stop", "at most 16 items"),
        (ASK + ', "stop": "' + "a" * 1025 + '"}', "stop", "at most 1024 characters"),
        (ASK + ', "top_logprobs": 2}', "top_logprobs", "only allowed when logprobs"),
        (ASK + ', "stream_options": {"include_usage": true}}', "stream_options", "stream is true"),
        (
            ASK + ', "response_format": {"type": "json"}}',
            "response_format",
            "type must be text, json_object, json_schema or structural_tag",
        ),
        (ASK + ', "tool_choice": "required"}', "tool_choice", "a call needs tools, and there are"),
        ("not json", None, "not valid JSON"),
        ("[" * 5000, None, "not valid JSON"),
    ],
)
def test_a_bad_body_names_its_field(body: str, param: str | None, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(ChatCompletionRequest, body)

    assert caught.value.param == param
    assert message in caught.value.message


def test_a_body_that_is_not_utf8() -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON"):
        parse_body(ChatCompletionRequest, b'{"messages": "\xff"}')


def test_unknown_fields_are_ignored() -> None:
    """As OpenAI does: clients send what other servers know."""
    parse_body(ChatCompletionRequest, ASK + ', "store": true}')


def test_a_prompt_that_is_too_long_names_both_numbers(frontend: Frontend) -> None:
    body = CompletionRequest(prompt="x" * 64)

    with pytest.raises(InvalidRequest, match="prompt has 64 tokens, the limit is 63"):
        frontend.completion(body)


@pytest.mark.parametrize("prompt", [[99], [5, 200]])
def test_ids_outside_the_vocabulary(frontend: Frontend, prompt: list[int]) -> None:
    with pytest.raises(InvalidRequest, match=f"{prompt[-1]} is outside the vocabulary of 99"):
        frontend.completion(CompletionRequest(prompt=prompt))


def test_what_the_client_leaves_open_is_filled_in(frontend: Frontend) -> None:
    """The answer may fill the sequence; the end tokens are the model's; a seed is drawn."""
    request, other = (chat(frontend).requests[0] for _ in range(2))

    assert request.max_tokens == 64 - len(request.prompt)
    assert request.stop_token_ids == {1}
    assert request.sampling.temperature == 1.0
    assert request.sampling.seed != other.sampling.seed
    assert chat(frontend, ignore_eos=True, stop_token_ids=[7]).requests[0].stop_token_ids == {7}


def test_a_whole_answer(frontend: Frontend) -> None:
    call = chat(frontend, n=2)
    tell(call, "hello", Finish.STOP)
    tell(call, "you", Finish.LENGTH, choice=1)

    answer = answer_of(call)

    assert [c.message.content for c in answer.choices] == ["hello", "you"]
    assert [c.finish_reason for c in answer.choices] == ["stop", "length"]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(call.requests[0].prompt)
    assert answer.usage.completion_tokens == 8


def test_a_streamed_answer(frontend: Frontend) -> None:
    """The role first, one id and time throughout, the reason last, then the usage."""
    call = chat(frontend, stream=True, stream_options={"include_usage": True})
    writer = ChatWriter(call, "tiny", 1, include_usage=True)
    chunks: list[ChatCompletionChunk] = []
    for token, finish in ((ids("a")[0], None), (ids("b")[0], Finish.STOP)):
        result = call.feed(Delta(call.requests[0].id, (token,), finish=finish))
        assert result.event is not None
        chunks += writer.chunks(result.event)
    chunks += writer.last_chunks()

    read = [
        openai.types.chat.ChatCompletionChunk.model_validate_json(c.model_dump_json())
        for c in chunks
    ]

    assert [c.choices[0].delta.content for c in read[:-1]] == ["a", "b", None]
    assert read[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in read[:-1]] == [None, None, "stop"]
    assert read[-1].choices == [] and read[-1].usage is not None
    assert len({(c.id, c.created) for c in read}) == 1


def test_a_stop_string_ends_the_text_before_it(frontend: Frontend) -> None:
    """Across tokens; the engine has to be told; what it still says is not heard."""
    call = chat(frontend, stop=["lo w"])
    request = call.requests[0]
    results = [call.feed(Delta(request.id, (token,))) for token in ids("hello world")]

    assert [i for i, one in enumerate(results) if one.cancel] == [6]
    assert all(one.event is None for one in results[7:])
    assert call.done
    answer = answer_of(call)
    assert answer.choices[0].message.content == "hel"
    assert answer.choices[0].finish_reason == "stop"


def test_a_tool_call(frontend: Frontend) -> None:
    """Arguments are a JSON string; the reason is tool_calls."""
    call = chat(frontend, tools=[CITY_TOOL])
    tell(call, '<tool_call>{"name": "look", "arguments": {"a": 1}}</tool_call>', Finish.STOP)

    answer = answer_of(call)
    choice = answer.choices[0]

    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    function = choice.message.tool_calls[0].function
    assert (function.name, function.arguments) == ("look", '{"a": 1}')


def test_one_call_alone_is_kept_where_more_are_not_wanted(frontend: Frontend) -> None:
    said = '<tool_call>{"name": "look"}</tool_call>'
    call = chat(frontend, tools=[CITY_TOOL], parallel_tool_calls=False)
    tell(call, said * 3, Finish.STOP)
    (choice,) = answer_of(call).choices

    assert choice.message.tool_calls is not None and len(choice.message.tool_calls) == 1
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")


def test_of_calls_that_are_not_wanted_one_that_breaks_is_text(frontend: Frontend) -> None:
    """Nothing of it was told."""
    call = chat(frontend, tools=[CITY_TOOL], parallel_tool_calls=False)
    broken = '<tool_call>{"name": "look", "arguments": {"a": 1'
    tell(call, '<tool_call>{"name": "look"}</tool_call>' + broken, Finish.STOP)
    (choice,) = answer_of(call).choices

    assert choice.message.tool_calls is not None and len(choice.message.tool_calls) == 1
    assert (choice.message.content, choice.finish_reason) == (broken, "tool_calls")


def test_a_stop_string_may_be_a_special_token(frontend: Frontend) -> None:
    """Which is in no text; what was held back before it is given."""
    mark = frontend.tokenizer.id_of("<|im_start|>")
    assert mark is not None
    call = chat(frontend, stop=["<|im_start|>", "ello"], ignore_eos=True)
    request, said = call.requests[0], [*ids("hel"), mark, *ids("more")]
    ended = [call.feed(Delta(request.id, (token,))).cancel for token in said]

    assert ended.index(True) == 3
    (choice,) = answer_of(call).choices
    assert (choice.message.content, choice.finish_reason) == ("hel", "stop")


def test_what_openai_requires_is_there(frontend: Frontend) -> None:
    """Null where there is nothing, in both of its older APIs."""
    asked, plain = chat(frontend), frontend.completion(CompletionRequest(prompt="hi"))
    tell(asked, "a")
    tell(plain, "a")
    whole = json.loads(ChatWriter(asked, "tiny", 1).whole())
    old = json.loads(CompletionWriter(plain, "tiny", 1).whole())

    assert whole["choices"][0]["logprobs"] is None is whole["choices"][0]["message"]["refusal"]
    assert old["choices"][0]["logprobs"] is None
    assert whole["service_tier"] == "default"
    assert whole["system_fingerprint"] == old["system_fingerprint"]
    messages = [*ASKED, answer_of(asked).choices[0].message.model_dump(exclude_unset=True)]
    ChatCompletionRequest.model_validate({"messages": messages})


def test_without_tools_the_same_text_is_text(frontend: Frontend) -> None:
    call = chat(frontend)
    text = '<tool_call>{"name":"look"}</tool_call>'
    tell(call, text, Finish.STOP)

    assert answer_of(call).choices[0].message.content == text


def test_logprobs(frontend: Frontend) -> None:
    """In the form of each API."""
    entry = TokenLogprobs(-0.5, ((65, -0.5), (66, -1.5)))
    asked = chat(frontend, logprobs=True, top_logprobs=2)
    plain = frontend.completion(CompletionRequest(prompt="hi", logprobs=2))
    for call in (asked, plain):
        call.feed(Delta(call.requests[0].id, ids("ab"), (entry, entry), Finish.LENGTH))

    answer = answer_of(asked)
    old = openai.types.Completion.model_validate_json(CompletionWriter(plain, "tiny", 1).whole())

    assert answer.choices[0].logprobs is not None and answer.choices[0].logprobs.content
    first = answer.choices[0].logprobs.content[0]
    assert (first.token, first.logprob, first.bytes) == ("a", -0.5, [97])
    assert [top.token for top in first.top_logprobs] == ["a", "b"]
    assert old.choices[0].logprobs is not None
    assert old.choices[0].logprobs.text_offset == [0, 1]
    assert old.choices[0].logprobs.top_logprobs == [{"a": -0.5, "b": -1.5}] * 2


def test_several_prompts_are_choices_in_order(frontend: Frontend) -> None:
    call = frontend.completion(CompletionRequest(prompt=["ab", "c"], n=2))

    assert [r.prompt for r in call.requests] == [ids("ab")] * 2 + [ids("c")] * 2
    assert [r.choice for r in call.requests] == [0, 1, 0, 1]
    assert call.usage.prompt_tokens == 3


def test_an_engine_failure_ends_the_call(frontend: Frontend) -> None:
    call = chat(frontend)
    with pytest.raises(EngineFailure, match="kernel"):
        call.feed(Delta(call.requests[0].id, finish=Finish.ERROR, error="a kernel broke"))

    assert call.done
    with pytest.raises(EngineFailure):
        call.ended_parts(Choice)
    with pytest.raises(EngineFailure):
        ChatWriter(call, "tiny", 1).whole()


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault.ENGINE, EngineFailure, 500),
        (Fault.OVERLOADED, Overloaded, 429),
        (Fault.DEADLINE, DeadlineExceeded, 504),
        (Fault.UNAVAILABLE, WorkerUnavailable, 503),
        (Fault.INVALID, InvalidRequest, 400),
        (Fault.REQUEST, RequestFailed, 500),
    ],
)
def test_a_workers_fault_has_a_status_of_its_own(
    frontend: Frontend, fault: Fault, kind: type[RaylaxError], status: int
) -> None:
    call = chat(frontend)
    with pytest.raises(kind, match="said why") as caught:
        call.feed(Delta(call.requests[0].id, finish=Finish.ERROR, error="said why", fault=fault))

    assert caught.value.http_status == status


def test_a_stop_string_takes_its_log_probabilities_along(frontend: Frontend) -> None:
    """While it is held nothing is heard of it; a token that is cut in its middle stays."""
    entry = TokenLogprobs(-0.5)
    call = frontend.completion(CompletionRequest(prompt="hi", stop="cd", logprobs=0))
    request = call.requests[0]
    heard = []
    for token in ids("abcxcde"):
        event = call.feed(Delta(request.id, (token,), (entry,))).event
        heard.append("".join(one.text for one in event.logprobs) if event else None)

    assert heard == ["a", "b", None, "cx", None, "", None]


def test_the_arguments_of_earlier_calls_are_not_quoted_twice() -> None:
    """Templates write them as JSON; what is no JSON object is given as it came."""

    def shown(arguments: str) -> Any:
        function = {"name": "look", "arguments": arguments}
        message = Message.model_validate(
            {"role": "assistant", "tool_calls": [{"function": function}]}
        )
        return message.for_template()["tool_calls"][0]["function"]["arguments"]

    assert [shown(a) for a in ('{"a": 1}', "[1]", "{]", "[" * 9999)] == [
        {"a": 1}, "[1]", "{]", "[" * 9999
    ]  # fmt: skip


def test_a_long_text_is_refused_by_its_length(frontend: Frontend) -> None:
    """Tokenising it would take seconds; a bound on its tokens is known without."""
    longest = frontend.tokenizer.longest_token
    with pytest.raises(PromptTooLong, match="has [0-9]+ tokens"):
        frontend.completion(CompletionRequest(prompt="x" * (longest * 64 - 1)))
    with pytest.raises(PromptTooLong, match="at least 64 tokens, the limit is 63"):
        frontend.completion(CompletionRequest(prompt="x" * (longest * 64)))
