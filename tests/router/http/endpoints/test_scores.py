"""POST /v1/score and /v1/rerank, against a real router: by embeddings, and by what a model says."""

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.checkpoints import write_checkpoint
from tests.support.router_rig import PATIENCE_S, Rig, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOCUMENTS = ["the first", "another text, which is longer", "the first", "a third"]
PAIRED = (
    "{% for m in messages %}{% if m.role == 'query' %}Q: {{ m.content }}\n"
    "{% elif m.role == 'document' %}D: {{ m.content }}\n"
    "{% else %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a router whose model says y or n of a document."""
    path = tmp_path_factory.mktemp("judge")
    write_checkpoint(path, classifier_from_token=["n", "y"])
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": PAIRED}))
    async with (
        running_router(path) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        yield client


async def asked(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(path, json={"model": "tiny", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def vectors(client: httpx.AsyncClient, texts: list[str]) -> list[list[float]]:
    found = await asked(client, "/v1/embeddings", input=texts)
    return [one["embedding"] for one in found["data"]]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("path", ["/v1/score", "/score"])
@pytest.mark.parametrize("names", [("text_1", "text_2"), ("queries", "documents")])
async def test_a_score_is_the_cosine_of_two_embeddings(
    client: httpx.AsyncClient, path: str, names: tuple[str, str]
) -> None:
    """One text with each of several, in their order; a text that is twice there scores the same."""
    query, *documents = await vectors(client, ["the query", *DOCUMENTS])
    found = await asked(client, path, **dict(zip(names, ("the query", DOCUMENTS), strict=True)))
    scores = [one["score"] for one in found["data"]]

    assert (found["object"], found["model"]) == ("list", "tiny")
    assert found["id"].startswith("score-")
    assert [(one["index"], one["object"]) for one in found["data"]] == [
        (at, "score") for at in range(4)
    ]
    assert scores == pytest.approx([cosine(query, one) for one in documents], abs=1e-6)
    assert scores[0] == scores[2] != scores[1]
    assert found["usage"]["prompt_tokens"] == len("the query") + sum(map(len, DOCUMENTS))
    assert found["usage"]["total_tokens"] == found["usage"]["prompt_tokens"]


async def test_several_texts_are_compared_one_by_one(client: httpx.AsyncClient) -> None:
    """The second with the second, and so on; a text is like itself."""
    found = await asked(client, "/v1/score", queries=DOCUMENTS, documents=DOCUMENTS[::-1])
    first, last, *_ = (one["score"] for one in found["data"])
    alone = await asked(client, "/v1/score", queries=DOCUMENTS[1], documents=DOCUMENTS[2])
    same = await asked(client, "/v1/score", text_1="the first", text_2=["the first"])

    assert last == alone["data"][0]["score"] != first
    assert same["data"][0]["score"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
async def test_a_ranking_has_the_best_document_first(client: httpx.AsyncClient, path: str) -> None:
    """By the scores of /v1/score; of equal ones the first. Texts come back from either form."""
    scored = await asked(client, "/v1/score", queries="the query", documents=DOCUMENTS)
    scores = [one["score"] for one in scored["data"]]
    documents = [DOCUMENTS[0], {"text": DOCUMENTS[1], "title": "x"}, *DOCUMENTS[2:]]
    found = await asked(client, path, query="the query", documents=documents)
    order = sorted(range(4), key=lambda at: -scores[at])

    assert found["id"].startswith("rerank-")
    assert [one["index"] for one in found["results"]] == order
    assert [one["relevance_score"] for one in found["results"]] == [scores[at] for at in order]
    texts = [one["document"]["text"] for one in found["results"]]
    assert texts == [DOCUMENTS[at] for at in order]
    assert found["usage"]["total_tokens"] == scored["usage"]["total_tokens"]


async def test_only_so_many_are_told(client: httpx.AsyncClient) -> None:
    """And no texts, if nobody wants them."""
    every = await asked(client, "/v1/rerank", query="q", documents=DOCUMENTS)
    found = await asked(
        client, "/v1/rerank", query="q", documents=DOCUMENTS, top_n=2, return_documents=False
    )

    assert found["results"] == [
        {name: one[name] for name in ("index", "relevance_score")} for one in every["results"][:2]
    ]


async def test_long_texts_are_cut_where_that_is_asked_for(client: httpx.AsyncClient) -> None:
    cut = await asked(
        client, "/v1/score", text_1="q", text_2=["x" * 300 + "the end"], truncate_prompt_tokens=7
    )
    whole = await asked(client, "/v1/score", text_1="q", text_2="the end")

    assert cut["data"][0]["score"] == whole["data"][0]["score"]


async def test_a_judge_says_how_likely_yes_is(judge: httpx.AsyncClient) -> None:
    """Against no, behind a prompt with both texts: by the log-probabilities of a completion."""

    async def logprob(prompt: str, word: str) -> float:
        allowed = [ord(word) - 32]
        body = {"prompt": prompt, "max_tokens": 1, "logprobs": 0, "allowed_token_ids": allowed}
        found = await asked(judge, "/v1/completions", **body)
        assert found["choices"][0]["text"] == word
        value: float = found["choices"][0]["logprobs"]["token_logprobs"][0]
        return value

    scores = []
    for document in DOCUMENTS:
        prompt = f"system: find it\nQ: what?\nD: {document}\n"
        yes, no = [await logprob(prompt, word) for word in "yn"]
        scores.append(1 / (1 + math.exp(no - yes)))
    body = {"documents": DOCUMENTS, "instruction": "find it"}
    found = await asked(judge, "/v1/score", queries="what?", **body)
    ranked = await asked(judge, "/v1/rerank", query="what?", **body)

    assert [one["score"] for one in found["data"]] == pytest.approx(scores, abs=1e-5)
    assert len(set(scores)) == 3
    assert [one["index"] for one in ranked["results"]] == sorted(
        range(4), key=lambda at: -found["data"][at]["score"]
    )
    shown = [f"system: find it\nQ: what?\nD: {document}\n" for document in DOCUMENTS]
    assert found["usage"]["prompt_tokens"] == sum(map(len, shown))


async def test_a_judge_finds_the_query_in_the_cache(judge: httpx.AsyncClient) -> None:
    """All documents stand behind the same beginning, whose pages are computed once."""
    long = {"queries": "a query of many words, " * 3, "instruction": "find it"}
    first = await asked(judge, "/v1/score", documents=["one"], **long)
    again = await asked(judge, "/v1/score", documents=["another"], **long)

    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] < 64
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 64


async def test_a_document_cannot_end_its_turn(judge: httpx.AsyncClient) -> None:
    """What looks like a special token in it is text."""
    found = await asked(judge, "/v1/score", text_1="q", text_2="a<|im_end|>b", instruction="x")

    assert found["usage"]["prompt_tokens"] == len("system: x\nQ: q\nD: a<|im_end|>b\n")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/score", {"text_1": "a"}, "text_1: needs text_2"),
        ("/v1/score", {"text_1": "a", "text_2": "b", "queries": "c"}, "text_1: needs text_2"),
        ("/v1/score", {"text_1": ["a", "b"], "text_2": ["c"]}, "text_1: must be one, or as"),
        ("/v1/score", {"text_1": "a", "text_2": ["c", "x" * 256]}, "text_2.1: the prompt has"),
        ("/v1/score", {"text_1": "", "text_2": "b"}, "text_1: must not be empty"),
        ("/v1/score", {"text_1": "a", "text_2": ["b"] * 1025}, "text_2: List should have at"),
        ("/v1/score", {"data_1": "a", "data_2": "b"}, "data_1: its name here is queries"),
        ("/v1/rerank", {"documents": ["a"]}, "query: Field required"),
        ("/v1/rerank", {"query": "a", "documents": []}, "documents: List should have"),
        ("/v1/rerank", {"query": "a", "documents": ["b", ""]}, "documents.1: must not be"),
        ("/v1/rerank", {"query": "a", "documents": [{"title": "b"}]}, "documents.0: must be a"),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": -1}, "top_n: Input should"),
        (
            "/v1/rerank",
            {"query": "a", "documents": ["b"], "instruction": "c"},
            "instruction: tiny compares embeddings",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_breaks_a_rule_is_a_400(
    rig: Rig, client: httpx.AsyncClient, path: str, body: dict[str, Any], words: str
) -> None:
    """That names the field, and which text of it."""
    answer = await client.post(path, json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(words)
    assert len(rig.service.journal) == 0


async def test_a_judges_prompt_is_not_cut(judge: httpx.AsyncClient) -> None:
    body = {"text_1": "a", "text_2": "b" * 256}
    cut = await judge.post("/v1/score", json={**body, "truncate_prompt_tokens": 9})
    long = await judge.post("/v1/score", json=body)

    assert (cut.status_code, cut.json()["error"]["param"]) == (400, "truncate_prompt_tokens")
    assert (long.status_code, long.json()["error"]["param"]) == (400, "text_2")
