"""POST /classify, and scores of pairs, by models that have a head for labels."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS
from tests.support.paths import GOLDENS
from tests.support.router_rig import PATIENCE_S, Rig, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOCUMENTS = ["the first", "another text, which is longer", "the first", "a third"]
PAIRED = (
    "{% for m in messages %}{% if m.role == 'query' or m.role == 'document' %}[{{ m.role }}]"
    "{% endif %}{{ m.content }} {% endfor %}"
)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running_router(path) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def labels(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a model with three labels."""
    async with serving(write_family(tmp_path_factory.mktemp("labels"), "qwen2-labels")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reranker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """One of a model with one, and no template."""
    async with serving(write_family(tmp_path_factory.mktemp("one"), "qwen3-reranker")) as made:
        yield made


async def asked(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(path, json={"model": "tiny", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def golden(name: str) -> tuple[list[int], list[float]]:
    """A prompt, and what transformers has of each label."""
    with np.load(GOLDENS / "families.npz") as file:
        return file[f"{name}/ids"].tolist(), file[f"{name}/logits"][-1].tolist()


async def logits(client: httpx.AsyncClient, text: str) -> float:
    """That of the only label."""
    (one,) = (await asked(client, "/classify", input=text))["data"]
    (share,) = one["probs"]
    return math.log(share / (1 - share))


@pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
async def test_each_text_has_a_share_of_each_label(labels: httpx.AsyncClient, path: str) -> None:
    """That transformers has; the label is the one with the most."""
    ids, want = golden("qwen2-labels")
    shares = np.exp(want) / np.exp(want).sum()
    found = await asked(labels, path, input=[ids, ids[:30], ids])
    first, other, again = found["data"]

    assert found["id"].startswith("classify-")
    assert (found["object"], found["model"]) == ("list", "tiny")
    assert first["probs"] == pytest.approx(shares.tolist(), abs=1e-4)
    assert first["label"] == CONFIGS["qwen2-labels"]["id2label"][str(shares.argmax())]
    assert [one["num_classes"] for one in found["data"]] == [3, 3, 3]
    assert [one["index"] for one in found["data"]] == [0, 1, 2]
    assert again["probs"] == first["probs"] != other["probs"]
    assert found["usage"]["prompt_tokens"] == 2 * len(ids) + 30


async def test_messages_are_a_text_by_the_template(labels: httpx.AsyncClient) -> None:
    """That /tokenize has of them, without a turn that is begun behind it, or with one."""
    messages = [{"role": "user", "content": "how are you"}, {"role": "assistant", "content": "ok"}]
    for begun in (False, True):
        shown = {"messages": messages, "add_generation_prompt": begun}
        tokens = (await asked(labels, "/tokenize", **shown))["tokens"]
        by_ids = await asked(labels, "/classify", input=tokens)
        by_messages = await asked(labels, "/classify", **shown)

        assert by_messages["data"] == by_ids["data"]
        assert by_messages["usage"]["prompt_tokens"] == len(tokens)
    without = await asked(labels, "/classify", messages=messages)
    cut = await asked(labels, "/classify", messages=messages, truncate_prompt_tokens=5)

    assert by_messages["data"] != without["data"]
    assert cut["usage"]["prompt_tokens"] == 5


async def test_one_label_is_by_itself(reranker: httpx.AsyncClient) -> None:
    ids, (want,) = golden("qwen3-reranker")
    (found,) = (await asked(reranker, "/classify", input=ids))["data"]

    assert found["probs"] == pytest.approx([1 / (1 + math.exp(-want))], abs=1e-4)
    assert found["label"] == "yes"


async def test_a_pair_is_two_texts_that_follow_each_other(reranker: httpx.AsyncClient) -> None:
    """As vLLM has it for such models without a template for pairs."""
    ranked = await asked(reranker, "/v1/rerank", query="what? ", documents=DOCUMENTS)
    found = await asked(reranker, "/v1/score", queries="what? ", documents=DOCUMENTS)
    classes = await asked(reranker, "/classify", input=[f"what? {one}" for one in DOCUMENTS])
    scores = [one["score"] for one in found["data"]]

    assert scores == [one["probs"][0] for one in classes["data"]]
    assert len(set(scores)) == 3
    assert [one["index"] for one in ranked["results"]] == sorted(
        range(4), key=lambda at: -scores[at]
    )
    assert found["usage"] == classes["usage"]


async def test_a_template_for_pairs_shows_them(tmp_path: Path) -> None:
    """And a setting may say that scores are logits as they are."""
    path = write_family(tmp_path / "made", "llama-reward")
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": PAIRED}))
    told = {**CONFIGS["llama-reward"], "sbert_ce_default_activation_function": "torch.nn.Identity"}
    (path / "config.json").write_text(json.dumps(told))
    async with serving(path) as client:
        found = await asked(client, "/v1/score", text_1="a", text_2="b", instruction="find")
        want = await logits(client, "find [query]a [document]b ")

        assert found["data"][0]["score"] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/completions", {"prompt": [5, 6], "stream": True}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
        ("/v1/responses", {"input": "a"}),
        ("/v1/messages", {"max_tokens": 3, "messages": [{"role": "user", "content": "a"}]}),
    ],
)
async def test_it_writes_nothing(
    labels: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await labels.post(path, json={"model": "tiny", **body})

    assert answer.status_code == 400
    assert "the model has a head for labels of texts and writes none; use /cl" in answer.text


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/classify", {"input": ["a", ""]}, "input.1: must not be empty"),
        ("/classify", {}, "input: either input or messages must be given"),
        ("/classify", {"input": "a", "messages": [{"role": "user", "content": "a"}]}, "input: e"),
        ("/classify", {"messages": [{"role": "user", "content": "a" * 300}]}, "messages: the"),
        ("/classify", {"input": "a" * 300}, "input: the prompt has"),
        ("/classify", {"input": [[3, 99]]}, "input: token id 99 is outside"),
        ("/v1/score", {"text_1": "a", "text_2": "b"}, "tiny has 3 labels, and pairs have a sco"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_breaks_a_rule_is_a_400(
    labels: httpx.AsyncClient, path: str, body: dict[str, Any], words: str
) -> None:
    answer = await labels.post(path, json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(words)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"instruction": "c"}, "instruction: tiny is shown a query and a document, and nothing"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens: tiny is shown query and docu"),
    ],
)
async def test_pairs_are_shown_whole(
    reranker: httpx.AsyncClient, more: dict[str, Any], words: str
) -> None:
    answer = await reranker.post("/v1/score", json={"text_1": "a", "text_2": "b", **more})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(words)


async def test_texts_are_cut_where_that_is_asked_for(labels: httpx.AsyncClient) -> None:
    cut = await asked(labels, "/classify", input="x" * 300 + "the end", truncate_prompt_tokens=7)
    whole = await asked(labels, "/classify", input="the end")

    assert cut["data"] == whole["data"]


async def test_a_head_for_tokens_has_no_labels(rig: Rig, client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", json={"input": "a"})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "tiny has no labels: its head is for tokens"
    assert len(rig.service.journal) == 0
