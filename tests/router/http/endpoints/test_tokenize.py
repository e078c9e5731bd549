"""Text to tokens and back over HTTP, in vLLM's shapes."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_prompt_and_back(client: httpx.AsyncClient) -> None:
    """Its length, what fits, the ids; their names only if they are asked for."""
    plain = (await client.post("/tokenize", json={"prompt": "a b"})).json()
    named = (
        await client.post("/tokenize", json={"prompt": "a b", "return_token_strs": True})
    ).json()
    back = (await client.post("/detokenize", json={"tokens": plain["tokens"]})).json()

    assert (plain["count"], plain["max_model_len"], plain["token_strs"]) == (3, 256, None)
    assert named["tokens"] == plain["tokens"]
    assert named["token_strs"] == ["a", "Ġ", "b"]
    assert back == {"prompt": "a b"}


async def test_messages_are_tokens_of_the_chat_template(client: httpx.AsyncClient) -> None:
    """As many as a chat request counts; marks of the template are read back, too."""
    messages = [{"role": "user", "content": "hi"}]
    made = (await client.post("/tokenize", json={"messages": messages})).json()
    answer = await client.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 1})
    back = (await client.post("/detokenize", json={"tokens": made["tokens"]})).json()

    assert made["count"] == len(made["tokens"]) == answer.json()["usage"]["prompt_tokens"]
    assert back["prompt"] == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


async def test_a_prompt_that_does_not_fit_is_counted(client: httpx.AsyncClient) -> None:
    made = (await client.post("/tokenize", json={"prompt": "x" * 5000})).json()

    assert made["count"] == 5000 > made["max_model_len"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/tokenize", {}, 400, "either a prompt or messages"),
        ("/tokenize", {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, 400,
         "either a prompt or messages"),
        ("/tokenize", {"prompt": 5}, 400, "prompt: Input should be a valid string, found 5"),
        ("/tokenize", {"prompt": "a", "model": "x"}, 404, "there is tiny"),
        ("/detokenize", {"tokens": [99]}, 400, "99 is outside the vocabulary of 99"),
        ("/detokenize", {"tokens": [-1]}, 400, "tokens.0"),
        ("/detokenize", {"tokens": [1], "model": "x"}, 404, "there is tiny"),
    ],
)  # fmt: skip
async def test_a_mistake_is_explained(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    """In OpenAI's error body."""
    reply = await client.post(path, json=body)

    assert reply.status_code == status
    assert said in reply.json()["error"]["message"]


async def test_what_a_tokenizer_is(client: httpx.AsyncClient) -> None:
    """Its settings, special tokens and template: what makes the prompts that this server makes."""
    info = (await client.get("/tokenizer_info")).json()
    named = (await client.get("/tokenizer_info", params={"model": "tiny"})).json()

    assert info == named
    assert info["tokenizer_class"] and "<|im_start|>" in info["chat_template"]
    assert (await client.get("/tokenizer_info", params={"model": "x"})).status_code == 404
