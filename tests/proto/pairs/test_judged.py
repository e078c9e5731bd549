"""What a reranker that generates is shown."""

import json
import random
from pathlib import Path

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.scores import ScoreRequest
from raylax.proto.pairs.judged import chat_works
from raylax.proto.text.files import TextFiles
from tests.support.checkpoints import write_checkpoint
from tests.support.prompt_families import MARKED_TURNS

PAIRED = (
    "{% for m in messages %}{% if m.role == 'query' or m.role == 'document' %}[{{ m.role }}]"
    "{% endif %}{{ m.content }} {% endfor %}"
)


def prompts(path: Path, template: str | None, body: ScoreRequest) -> list[str]:
    checkpoint = write_checkpoint(path)
    config = {} if template is None else {"chat_template": template}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    files = TextFiles(checkpoint)
    frontend = Frontend.load(files, "tiny", 4096, random.Random(1))
    return [frontend.prompts.prompt(work).text for work in chat_works(frontend, body)]


def test_it_is_the_prompt_that_qwen3_reranker_was_trained_on(tmp_path: Path) -> None:
    """By a template that marks turns and lets thoughts be left out, as that model's does."""
    body = ScoreRequest(queries="Where is Rome?", documents=["In Italy.", "It rains."])
    first, second = prompts(tmp_path, MARKED_TURNS, body)

    assert first == (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that "
        "answer the query\n<Query>: Where is Rome?\n<Document>: In Italy.<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert second == first.replace("In Italy.", "It rains.")


def test_a_template_that_knows_of_pairs_is_given_them(tmp_path: Path) -> None:
    """Each query with its own document."""
    body = ScoreRequest(queries=["a", "b"], documents=["c", "d"], instruction="find")

    assert prompts(tmp_path, PAIRED, body) == [
        "find [query]a [document]c ",
        "find [query]b [document]d ",
    ]


def test_without_a_template_nothing_is_shown(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="tiny has no chat template, by which a reranker"):
        prompts(tmp_path, None, ScoreRequest(text_1="a", text_2="b"))
