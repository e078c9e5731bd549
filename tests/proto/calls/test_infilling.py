"""A suffix, of models that fill in before it and of those that do not."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from raylax.proto.calls.choice import Choice
from raylax.proto.calls.prompt_maker import KNOWN, Infilling
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import Delta, Finish
from tests.support.prompt_tokenizers import byte_level


@pytest.fixture(scope="module")
def plain(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 64, random.Random(1))


def made_for(plain: Frontend, how: Infilling, directory: Path) -> Frontend:
    """A model whose tokenizer has these marks, which are not all special, as Qwen's."""
    file = directory / "tokenizer.json"
    byte_level(how.tokens[:1], how.tokens[1:]).save(str(file))
    tokenizer = Tokenizer(file)
    return replace(plain, tokenizer=tokenizer, vocab=tokenizer.size)


def answered(frontend: Frontend, body: CompletionRequest) -> tuple[str, str]:
    """What the model reads, and the text of an answer that says "mid"."""
    call = frontend.completion(body)
    (request,), (choice,) = call.requests, call.parts
    assert isinstance(choice, Choice)
    ids = frontend.tokenizer.encode("mid", add_special_tokens=False)
    call.feed(Delta(request.id, tuple(ids), finish=Finish.STOP))
    return frontend.tokenizer.decode(request.prompt, skip_special_tokens=False), choice.text


@pytest.mark.parametrize("how", KNOWN, ids=lambda one: one.before_prompt)
def test_a_model_that_was_made_for_it_fills_in(
    plain: Frontend, tmp_path: Path, how: Infilling
) -> None:
    """Each mark is a token; the suffix is not told again."""
    frontend = made_for(plain, how, tmp_path)
    body = CompletionRequest(prompt="what is ", suffix=" hello")
    read, said = answered(frontend, body)
    ids = frontend.completion(body).requests[0].prompt
    parts = [f"{how.before_prompt}what is ", f"{how.before_suffix} hello"]

    assert read == "".join(parts[::-1] if how.suffix_first else parts) + how.last
    assert {frontend.tokenizer.id_of(one) for one in how.tokens} <= set(ids)
    assert said == "mid"
    assert answered(frontend, body.model_copy(update={"echo": True}))[1] == "what is mid"


def test_without_a_suffix_a_prompt_is_as_it_is(plain: Frontend, tmp_path: Path) -> None:
    frontend = made_for(plain, KNOWN[0], tmp_path)

    assert answered(frontend, CompletionRequest(prompt="what")) == ("what", "mid")


def test_of_token_ids_it_is_refused(plain: Frontend, tmp_path: Path) -> None:
    frontend = made_for(plain, KNOWN[0], tmp_path)

    with pytest.raises(InvalidRequest, match="^suffix: this model fills in between texts"):
        frontend.completion(CompletionRequest(prompt=[65, 66], suffix="b"))


def test_of_other_models_it_is_the_end_of_the_answer(plain: Frontend) -> None:
    read, said = answered(plain, CompletionRequest(prompt="what", suffix="~"))

    assert (read, said) == ("what", "mid~")
