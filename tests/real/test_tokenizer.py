"""The real model's tokenizer, as its file has it, beside llama.cpp's."""

import json
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.proto.text.detokenizer import Detokenizer
from raylax.proto.text.files import TextFiles
from raylax.proto.text.tokenizer import Tokenizer
from tests.support.token_files import HERE, TEXTS

pytestmark = pytest.mark.real
GOLDENS: list[list[int]] = json.loads((HERE / "llama_cpp.json").read_text())["smollm2"]
ENDS = [0, 2, 4]
"""At which llama.cpp ends an answer."""


@pytest.fixture(scope="module")
def files(smollm2: Path) -> TextFiles:
    return TextFiles(open_checkpoint(smollm2).text)


@pytest.fixture(scope="module")
def tokenizer(files: TextFiles) -> Tokenizer:
    return files.tokenizer()


def test_a_text_has_the_ids_that_llama_cpp_gives_it(tokenizer: Tokenizer) -> None:
    for text, ids in zip(TEXTS, GOLDENS, strict=True):
        assert tokenizer.encode(text) == ids, text


def test_and_they_are_that_text(tokenizer: Tokenizer) -> None:
    """As they come, too, but for special tokens."""
    special = [tokenizer.name_of(id) for id in range(17)]
    for text, ids in zip(TEXTS, GOLDENS, strict=True):
        streamed = Detokenizer(tokenizer)
        said = "".join([*(streamed.add([id]) for id in ids), streamed.finish()])
        assert said == tokenizer.decode(ids)
        if not any(name in text for name in special):
            assert said == text


def test_it_ends_where_llama_cpp_ends(files: TextFiles) -> None:
    assert sorted(files.end_token_ids) == ENDS
