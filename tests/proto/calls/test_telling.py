"""What of an answer is told: stop strings, and the names of special tokens."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.calls.call import Call
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.body import validated
from raylax.proto.openai.completions import CompletionRequest
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
