"""Where the form of an answer begins, by how its model thinks: behind a thought that the prompt has
begun, or behind one that the model begins by itself, or at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer

from raylax.proto.calls.sampling_defaults import vocabulary_for_grammars
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles


def chat_of(**fields: Any) -> ChatCompletionRequest:
    said = [{"role": "user", "content": "hi"}]
    return parse_body(ChatCompletionRequest, json.dumps({"messages": said, **fields}))


def special(text: str) -> AddedToken:
    """A token that is no text."""
    return AddedToken(text, special=True)


def thinking(checkpoint: Path, copy: Path, tokens: list[str] | list[AddedToken]) -> Frontend:
    """Of a model whose template lets it think, and whose tokenizer has these, too."""
    shutil.copytree(checkpoint, copy)
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    settings["chat_template"] += (
        "{% if enable_thinking is not false %}<think>{% endif %}{{ ending }}"
    )
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
    tokenizer.add_tokens(tokens)
    tokenizer.save(str(copy / "tokenizer.json"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "vocab_size": 200}))
    return Frontend.load(TextFiles(copy), "tiny", 256)


def test_a_form_begins_behind_what_is_thought(checkpoint: Path, tmp_path: Path) -> None:
    """Where the prompt lets the model think."""
    loaded = thinking(checkpoint, tmp_path / "copy", ["<think>", "</think>"])
    form = {"response_format": {"type": "json_object"}}
    quiet = {"chat_template_kwargs": {"enable_thinking": False}}

    def after(**fields: Any) -> tuple[int, ...]:
        return loaded.chat(chat_of(**fields)).requests[0].sampling.grammar_after

    assert after(**form) == (loaded.tokenizer.id_of("</think>"),)
    assert after(**form, **quiet) == ()
    assert after() == ()


def test_a_model_that_begins_to_think_by_itself_may(checkpoint: Path, tmp_path: Path) -> None:
    """Where the prompt has not begun a thought, nor ended one."""
    loaded = thinking(checkpoint, tmp_path / "copy", ["<think>", "</think>"])
    maker = Matchers(lambda: vocabulary_for_grammars(loaded.files, 200), 200)
    form = {"guided_json": {"enum": ["yes"]}, "add_generation_prompt": True}
    quiet: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}

    def allowed(text: str, **fields: Any) -> bool:
        sampling = loaded.chat(chat_of(**form, **fields)).requests[0].sampling
        ids = loaded.tokenizer.encode(text, False)
        return maker.matcher(sampling.grammar, sampling.grammar_after).advance(ids)

    assert allowed('so</think>"yes"')
    assert allowed('"yes"', **quiet)
    assert allowed('<think>so\nor <so</think>"yes"', **quiet)
    assert not allowed('so</think>"yes"', **quiet)
    assert not allowed('<think>so</think>"no"', **quiet)
    assert not allowed("<think>so</think></think>", **quiet)
    quiet["chat_template_kwargs"]["ending"] = "<think>\n</think>\n"
    assert allowed('"yes"', **quiet)
    assert not allowed("<think>so", **quiet)


HARMONY_TOKENS = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|constrain|>", "<|call|>"]


@pytest.fixture(scope="module")
def channels(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Frontend:
    """Of a model that writes as gpt-oss does."""
    copy = tmp_path_factory.mktemp("channels") / "copy"
    thinking(checkpoint, copy, list(map(special, HARMONY_TOKENS)))
    return Frontend.load(
        TextFiles(copy), "tiny", 256, tool_parser="harmony", reasoning_parser="harmony"
    )


LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"at": {"enum": ["x"]}},
            "required": ["at"],
            "additionalProperties": False,
        },
    },
}
THOUGHT = "<|channel|>analysis<|message|>so <it is<|end|><|start|>assistant"
SAID = "<|channel|>final<|message|>"
CALL = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"at": "x"}<|call|>'


@pytest.mark.parametrize(
    ("fields", "inside", "outside"),
    [
        ({"guided_json": {"enum": ["yes"]}}, f'{SAID}"yes"', f"{SAID}no"),
        ({"guided_regex": "a+"}, f"{SAID}aa", "aa"),
        ({"tools": [LOOK], "tool_choice": "required"}, CALL, f"{SAID}well"),
        ({"tools": [LOOK]}, CALL, CALL.replace("x", "y")),
        ({"tools": [LOOK]}, f"{SAID}well", "well"),
        ({"tools": [LOOK], "guided_json": {"enum": ["yes"]}}, f'{SAID}"yes"', f"{SAID}well"),
    ],
)
def test_a_form_has_its_channel_behind_the_one_of_thoughts(
    channels: Frontend, fields: dict[str, Any], inside: str, outside: str
) -> None:
    maker = Matchers(lambda: vocabulary_for_grammars(channels.files, 200), 200)
    call = channels.chat(chat_of(**fields))

    def allowed(text: str) -> bool:
        ids = channels.tokenizer.encode(text, False)
        return maker.matcher(call.requests[0].sampling.grammar).advance(ids)

    assert allowed(inside)
    assert allowed(THOUGHT + inside)
    assert not allowed(outside)
    assert not allowed(THOUGHT + outside)
    assert not allowed("<|channel|>analysis<|message|>so<|end|>" + inside)


def test_the_end_of_a_thought_is_written_by_no_other_tokens(channels: Frontend) -> None:
    """Whoever reads the text would take it for the end."""
    maker = Matchers(lambda: vocabulary_for_grammars(channels.files, 200), 200)
    grammar = channels.chat(chat_of(guided_regex="a+")).requests[0].sampling.grammar
    cut = ["<|channel|>analysis<|message|>so", "<|end", "|>"]
    ids = [id for text in cut for id in channels.tokenizer.encode(text, False)]

    assert maker.matcher(grammar).advance(ids[:-1])
    assert not maker.matcher(grammar).advance(ids)


def test_what_a_thought_is_ended_with_is_left_to_the_form(channels: Frontend) -> None:
    form = {"guided_regex": "a+"}

    def closed(**fields: Any) -> str:
        sampling = channels.chat(chat_of(thinking_budget=5, **fields)).requests[0].sampling
        assert sampling.thinking is not None
        return channels.tokenizer.decode(sampling.thinking.close, skip_special_tokens=False)

    assert closed() == "<|end|><|start|>assistant" + SAID
    assert closed(**form) == "<|end|>"


def test_thoughts_without_an_end_of_their_own_are_no_place_for_a_form(
    checkpoint: Path, tmp_path: Path
) -> None:
    loaded = thinking(checkpoint, tmp_path / "copy", [])

    with pytest.raises(InvalidRequest, match="</think> is no token of its own; turn thinking off"):
        loaded.chat(chat_of(response_format={"type": "json_object"}))
