"""Bodies and fields as requests; what is wrong with them is told by the name of the field."""

from typing import Any

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.body import MOST_VALUES, parse_body, validated
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest


@pytest.mark.parametrize(
    ("given", "several"),
    [("ab", ["ab"]), ([1, 2], [[1, 2]]), (["a", "b"], ["a", "b"]), ([[1], [2]], [[1], [2]])],
)
def test_one_or_several_texts_or_token_ids(given: Any, several: list[Any]) -> None:
    """A prompt of completions and an input of embeddings are the same field."""
    assert validated(CompletionRequest, {"prompt": given}).prompts == several
    assert validated(EmbeddingRequest, {"input": given}).inputs == several


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({}, "prompt", "prompt: Field required"),
        ({"prompt": "a", "n": 0}, "n", "n: Input should be greater than or equal to 1, found 0"),
        ({"prompt": [1, -1]}, "prompt.1", "found -1"),
        (
            {"prompt": "a", "stream_options": {"include_usage": True}},
            "stream_options",
            "only allowed when stream is true",
        ),
    ],
)
def test_a_mistake_is_told_by_its_field(fields: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        validated(CompletionRequest, fields)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("{", "the body is not valid JSON"),
        ("[]", "the body must be a JSON object"),
        ("," * (MOST_VALUES + 1), f"the body may have {MOST_VALUES} values"),
        ('{"a":' * (MOST_VALUES // 4 + 1), f"the body may have {MOST_VALUES} values"),
        ("[" * (MOST_VALUES // 4 + 1), f"the body may have {MOST_VALUES} values"),
    ],
)
def test_what_is_no_body(raw: str, said: str) -> None:
    """As text or as bytes."""
    for given in (raw, raw.encode()):
        with pytest.raises(InvalidRequest, match=said):
            parse_body(CompletionRequest, given)
