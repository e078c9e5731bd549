"""Prompts and their ids are those of transformers (tests/goldens/templates.py)."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.text.files import TextFiles
from tests.support.paths import GOLDENS
from tests.support.prompt_families import FAMILIES, REQUESTS, TEXTS, asked_of

WRITTEN: dict[str, Any] = json.loads((GOLDENS / "templates.json").read_text())
MODEL = {"vocab_size": 600, "hidden_size": 8}
CHATS = [(family, asked) for family in FAMILIES for asked in asked_of(family)]


@pytest.fixture(scope="session")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, family in FAMILIES.items():
        made[name] = family.write(tmp_path_factory.mktemp("family"))
        (made[name] / "config.json").write_text(json.dumps(MODEL))
    return made


@pytest.fixture(scope="session")
def frontends(directories: dict[str, Path]) -> dict[str, Frontend]:
    return {name: Frontend.load(TextFiles(path), name, 4096) for name, path in directories.items()}


def body_of(asked: str) -> ChatCompletionRequest:
    """The request by OpenAI's API, where the arguments of calls are JSON."""
    request = copy.deepcopy(REQUESTS[asked])
    for call in (c for m in request["messages"] for c in m.get("tool_calls", ())):
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return ChatCompletionRequest.model_validate(request)


@pytest.mark.parametrize(("family", "asked"), CHATS)
def test_a_prompt_is_that_of_transformers(
    frontends: dict[str, Frontend], family: str, asked: str
) -> None:
    """Its text, and its ids; or it is refused by both."""
    frontend, golden = frontends[family], WRITTEN[family]["chats"][asked]

    if "refused" in golden:
        with pytest.raises(InvalidRequest, match=golden["refused"]):
            frontend.prompt_of(body_of(asked))
        return
    assert frontend.prompt_of(body_of(asked)) == golden["prompt"]
    assert frontend.tokens_of(body_of(asked)) == golden["ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_have_the_ids_of_transformers(frontends: dict[str, Frontend], family: str) -> None:
    """With the tokens that the tokenizer puts around them, and without."""
    frontend, golden = frontends[family], WRITTEN[family]

    assert [frontend.tokenizer.encode(text) for text in TEXTS] == golden["texts"]
    assert [frontend.tokenizer.encode(text, False) for text in TEXTS] == golden["bare"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_ends_at_the_end_token_of_the_tokenizer(
    frontends: dict[str, Frontend], family: str
) -> None:
    eos = WRITTEN[family]["eos"]

    assert frontends[family].end_token_ids == (set() if eos is None else {eos})


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_are_those_of_transformers(
    frontends: dict[str, Frontend], family: str
) -> None:
    """They are in no answer's text. One that an older file lists is, though transformers 5 does not
    see it if it has an id in another file: transformers 4 did."""
    tokenizer, listed = frontends[family].tokenizer, family == "named in an older file"
    ours = {id for id, token in tokenizer._added_tokens.items() if token.special}
    more = {tokenizer.id_of("<|extra|>")} if listed else set()

    assert ours == {*WRITTEN[family]["special"], *more}
    assert not any(map(tokenizer.adds_text, ours))


@pytest.mark.parametrize(
    ("family", "bos"), [("alternating", "<s>"), ("dated headers", "<|begin|>")]
)
@pytest.mark.parametrize("text", ["hello", "", " ü"])
def test_a_text_begins_with_one_bos(
    frontends: dict[str, Frontend], family: str, bos: str, text: str
) -> None:
    """Whether the client writes it or not, unless they switch it off."""
    frontend = frontends[family]
    id = frontend.tokenizer.id_of(bos)
    assert id is not None

    def prompt(given: str, **fields: Any) -> list[int]:
        body = CompletionRequest(prompt=given, **fields)
        return list(frontend.completion(body).requests[0].prompt)

    written = prompt(bos + text)
    assert written == prompt(bos + text, add_special_tokens=False)
    assert (written[0], written.count(id)) == (id, 1)
    assert prompt(text)[0] == id
    if text:
        assert id not in prompt(text, add_special_tokens=False)
        asked = EmbeddingRequest(input=bos + text, add_special_tokens=True)
        assert list(frontend.embedding(asked).requests[0].prompt) == written
        asked = EmbeddingRequest(input=text, add_special_tokens=False)
        assert id not in frontend.embedding(asked).requests[0].prompt


def test_a_chat_has_the_bos_of_its_template_once(frontends: dict[str, Frontend]) -> None:
    """Also where the tokenizer is told to add its own."""
    frontend, chat = frontends["alternating"], REQUESTS["texts"]
    asked = ChatCompletionRequest.model_validate({**chat, "add_special_tokens": True})

    assert frontend.tokens_of(asked) == frontend.tokens_of(body_of("texts"))
    marked = [{"role": "user", "content": "</s>"}]
    ids = [
        frontend.tokens_of(
            ChatCompletionRequest.model_validate({"messages": marked, "add_special_tokens": added})
        )
        for added in (True, False)
    ]
    assert ids[0] == ids[1]
