"""What of an answer is told: stop strings, the names of special tokens, and ids; and how much of a
prompt is read."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.answers.writer import AnswerEvent
from raylax.proto.calls.call import Call
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.body import validated
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs

ENTRY = TokenLogprobs(-0.5)


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 64, random.Random(1))


def asked(frontend: Frontend, **fields: Any) -> Call:
    return frontend.completion(validated(CompletionRequest, {"prompt": "hi", **fields}))


def told(
    frontend: Frontend, call: Call, said: str, at_once: bool, logprobs: bool = False
) -> dict[str, Any]:
    """The choice that is written when the engine has said this, ended by its length: token by
    token, or at once."""
    tokens = frontend.tokenizer.encode(said)
    pieces = [tokens] if at_once else [[token] for token in tokens]
    for i, piece in enumerate(pieces):
        entries = (ENTRY,) * len(piece) if logprobs else ()
        finish = Finish.LENGTH if i == len(pieces) - 1 else None
        call.feed(Delta(call.requests[0].id, tuple(piece), entries, finish))
    choice: dict[str, Any] = json.loads(CompletionWriter(call, "tiny", 1).whole())["choices"][0]
    return choice


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    ("said", "text"),
    [("abcxcde", "abcxcd"), ("cdcd", "cd"), ("abc", "abc"), ("a<|im_end|>b", "a<|im_end|>")],
)
def test_a_stop_string_may_be_told(frontend: Frontend, said: str, text: str, at_once: bool) -> None:
    """As the end of the text, with the log-probabilities of its tokens; a special token, too."""
    ask = {"stop": ["cd", "<|im_end|>"], "include_stop_str_in_output": True, "logprobs": 0}
    choice = told(frontend, asked(frontend, **ask), said, at_once, logprobs=True)

    assert choice["text"] == "".join(choice["logprobs"]["tokens"]) == text
    assert choice["finish_reason"] == ("length" if said == text else "stop")


@pytest.mark.parametrize("at_once", [False, True])
def test_a_special_token_that_is_not_told_has_no_log_probability(
    frontend: Frontend, at_once: bool
) -> None:
    ask = {"stop": ["<|im_end|>"], "logprobs": 0}
    choice = told(frontend, asked(frontend, **ask), "a<|im_end|>b", at_once, logprobs=True)

    assert (choice["text"], choice["logprobs"]["tokens"]) == ("a", ["a"])


def test_the_models_own_stop_strings_are_not_told(frontend: Frontend) -> None:
    """Nobody has asked for them."""
    own = replace(frontend, defaults=replace(frontend.defaults, stop=("cd",)))
    call = asked(own, stop="zz", include_stop_str_in_output=True)

    assert told(frontend, call, "abcde", at_once=False)["text"] == "ab"


@pytest.mark.parametrize("at_once", [False, True])
def test_special_tokens_may_be_told(frontend: Frontend, at_once: bool) -> None:
    """By their names; by default there is none in the text."""
    said = "a<|im_start|><|im_end|>b"
    ask = {"prompt": "<|im_start|>hi", "echo": True}

    assert told(frontend, asked(frontend, **ask), said, at_once)["text"] == "<|im_start|>hiab"
    shown = told(frontend, asked(frontend, **ask, skip_special_tokens=False), said, at_once)
    assert shown["text"] == "<|im_start|>hi" + said


@pytest.mark.parametrize("skipped", [False, True])
def test_the_special_tokens_of_ids_that_are_repeated(frontend: Frontend, skipped: bool) -> None:
    ids = frontend.tokenizer.encode("<|im_start|>hi")
    call = asked(frontend, prompt=ids, echo=True, skip_special_tokens=skipped)

    before = "" if skipped else "<|im_start|>"
    assert told(frontend, call, "a", at_once=True)["text"] == before + "hia"


def test_tokens_that_end_an_answer_cannot_be_told(frontend: Frontend) -> None:
    said = "include_stop_str_in_output: the tokens of stop_token_ids are part of no answer"
    with pytest.raises(InvalidRequest, match=said) as caught:
        asked(frontend, stop_token_ids=[5], include_stop_str_in_output=True)

    assert caught.value.param == "include_stop_str_in_output"


def chunks_of(writer: ChatWriter | CompletionWriter, said: list[Delta]) -> list[dict[str, Any]]:
    """All chunks of a stream, in which these deltas come one after another."""
    writer.call.be_streamed()
    events: list[AnswerEvent] = []
    for delta in said:
        if (event := writer.call.feed(delta).event) is not None:
            events += writer.add(event)
    return [json.loads(data) for _, data in [*events, *writer.end()][:-1]]


def deltas_of(call: Call, ids: list[int], choice: int = 0) -> list[Delta]:
    last = len(ids) - 1
    return [
        Delta(call.requests[choice].id, (id,), finish=Finish.LENGTH if at == last else None)
        for at, id in enumerate(ids)
    ]


@pytest.mark.parametrize("stop", [None, "cd"])
def test_the_ids_of_an_answer_and_its_prompt(frontend: Frontend, stop: str | None) -> None:
    """Of each choice; those that end a stop string, and none behind it. In a stream no id comes
    twice, and the prompt's come once for each choice."""
    ask = {"prompt": ["hi", "you"], "return_token_ids": True, "stop": stop}
    said = frontend.tokenizer.encode("abcde<|im_start|>")
    want = said[:4] if stop else said
    whole, streamed = asked(frontend, **ask), asked(frontend, **ask)
    deltas = [one for choice in (0, 1) for one in deltas_of(whole, said, choice)]
    for delta in deltas:
        whole.feed(delta)
    answer = json.loads(CompletionWriter(whole, "tiny", 1).whole())
    ids: list[list[int]] = [[], []]
    prompts = []
    moved = [one for choice in (0, 1) for one in deltas_of(streamed, said, choice)]
    for chunk in chunks_of(CompletionWriter(streamed, "tiny", 1), moved):
        (choice,) = chunk["choices"]
        ids[choice["index"]] += choice.get("token_ids", [])
        prompts += [choice["prompt_token_ids"]] if "prompt_token_ids" in choice else []

    assert [one["token_ids"] for one in answer["choices"]] == ids == [want, want]
    assert [one["prompt_token_ids"] for one in answer["choices"]] == prompts
    assert prompts == [frontend.tokenizer.encode(one) for one in ("hi", "you")]


def test_the_ids_of_a_chat(frontend: Frontend) -> None:
    """The prompt's stand beside the choices, once."""
    body = {"messages": [{"role": "user", "content": "hi"}], "n": 2, "return_token_ids": True}
    whole, streamed = (frontend.chat(validated(ChatCompletionRequest, body)) for _ in range(2))
    said = frontend.tokenizer.encode("ab")
    for choice in (0, 1):
        for delta in deltas_of(whole, said, choice):
            whole.feed(delta)
    answer = json.loads(ChatWriter(whole, "tiny", 1).whole())
    deltas = [one for choice in (0, 1) for one in deltas_of(streamed, said, choice)]
    chunks = chunks_of(ChatWriter(streamed, "tiny", 1), deltas)
    told = [id for one in chunks for id in one["choices"][0].get("token_ids", [])]
    prompt = list(whole.requests[0].prompt)

    assert [one["token_ids"] for one in answer["choices"]] == [said, said]
    assert told == said * 2
    assert answer["prompt_token_ids"] == prompt
    assert [one.get("prompt_token_ids") for one in chunks] == [prompt] + [None] * (len(chunks) - 1)


def test_nobody_is_told_ids_who_does_not_ask(frontend: Frontend) -> None:
    call = asked(frontend)
    chunks = chunks_of(CompletionWriter(call, "tiny", 1), deltas_of(call, [5, 6]))

    assert not any("token_ids" in str(one) for one in chunks)


@pytest.mark.parametrize("chat", [False, True])
def test_each_chunk_may_count(frontend: Frontend, chat: bool) -> None:
    """What there is so far; the last one has all."""
    messages = {"messages": [{"role": "user", "content": "hi"}]}
    options = {
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    body = validated(ChatCompletionRequest, messages | options)
    call = frontend.chat(body) if chat else asked(frontend, **options)
    kind = ChatWriter if chat else CompletionWriter
    chunks = chunks_of(kind(call, "tiny", 1, True, body.counts_on), deltas_of(call, [5, 6, 7]))
    counts = [one["usage"]["completion_tokens"] for one in chunks]

    assert counts == ([1, 2, 3, 3, 3] if chat else [1, 2, 3, 3])
    assert {one["usage"]["prompt_tokens"] for one in chunks} == {len(call.requests[0].prompt)}


@pytest.mark.parametrize("given", ["abcdef", [5, 6, 7, 8, 9, 10]])
@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"truncate_prompt_tokens": 2}, slice(4, 6)),
        ({"truncate_prompt_tokens": 2, "truncation_side": "right"}, slice(0, 2)),
        ({"truncate_prompt_tokens": 6}, slice(0, 6)),
        ({"truncate_prompt_tokens": -1, "max_tokens": 61}, slice(3, 6)),
        ({"truncate_prompt_tokens": -1, "max_tokens": 99}, slice(0, 6)),
    ],
)
def test_a_prompt_may_be_cut(
    frontend: Frontend, given: str | list[int], fields: dict[str, Any], kept: slice
) -> None:
    """Of a sequence of 64 tokens; what is repeated is what was read."""
    ids = frontend.tokenizer.encode(given) if isinstance(given, str) else given
    call = asked(frontend, prompt=given, echo=True, **fields)

    assert list(call.requests[0].prompt) == ids[kept]
    assert told(frontend, call, "x", at_once=True)["text"] == (
        frontend.tokenizer.decode(ids[kept]) + "x"
    )


def test_prompts_that_are_cut_are_never_too_long(frontend: Frontend) -> None:
    """Of messages, texts of completions, and of embeddings."""
    long = "x" * 500
    messages = [{"role": "user", "content": long}]
    cut = {"truncate_prompt_tokens": -1}
    chat = frontend.chat(
        validated(ChatCompletionRequest, {"messages": messages, "max_tokens": 4, **cut})
    )
    embedding = frontend.embedding(validated(EmbeddingRequest, {"input": long, **cut}))

    assert [len(one.requests[0].prompt) for one in (chat, embedding)] == [60, 63]
    assert asked(frontend, prompt=long, truncate_prompt_tokens=3).requests[0].prompt == (88,) * 3
    with pytest.raises(InvalidRequest, match="the prompt has 70 tokens, the limit is 63"):
        asked(frontend, prompt=long, truncate_prompt_tokens=70)


@pytest.mark.parametrize("wrong", [0, -2, 1.5, "3"])
def test_how_much_is_kept_is_a_number(wrong: Any) -> None:
    with pytest.raises(
        InvalidRequest, match=f"truncate_prompt_tokens: .*found {wrong!r}"
    ) as caught:
        validated(CompletionRequest, {"prompt": "hi", "truncate_prompt_tokens": wrong})

    assert caught.value.param == "truncate_prompt_tokens"
