"""Nothing that a client may ask keeps the router's event loop from all others for long.

The worker says at once what a model would say in minutes, so that it comes as thick as it can.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio

from raylax.router.config import RouterConfig
from tests.support.checkpoints import write_checkpoint
from tests.support.prompt_tokenizers import byte_level
from tests.support.router_rig import PATIENCE_S, TOKEN, a_router
from tests.support.router_scripted import ScriptedWorker, scripted_worker
from tests.support.stalls import Stalls, measured

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONGEST_S = 0.05
TRIES = 6
"""A machine that others use may make one try slow."""
CONTEXT = 1 << 20
MARKS = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
HUGE = "a" * 100_000
LETTER, BROKEN, CALL = "a", "\u00e2", '<tool_call>{"name":"look","arguments":{"x":"'
"""A token of text; one that begins a character and adds nothing; tokens that open a call."""
CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES, MESSAGES, TOKENIZE = "/v1/responses", "/v1/messages", "/tokenize"
HI = {"messages": [{"role": "user", "content": "hello"}]}
LIKELY = {"logprobs": True, "top_logprobs": 20}
STOPS = ["a" * (1000 + i) + "b" for i in range(16)]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
RESUME = {"X-Raylax-Resume": "30"}
CONTROL = "<|im_start|>" * 30_000
Reached = tuple[ScriptedWorker, str]
"""The worker, and the router's address."""
Says = list[tuple[str, int]]
"""Tokens by name, or a text, and how often each comes."""
CASES: dict[str, tuple[str, dict[str, Any], Says]] = {
    "choices, whole": (CHAT, HI | LIKELY | {"n": 16}, [(LETTER, 300)]),
    "choices, streamed": (CHAT, HI | LIKELY | {"n": 16, "stream": True}, [(LETTER, 40)]),
    "no text": (CHAT, HI, [(BROKEN, 30_000)]),
    "no text, likely": (CHAT, HI | LIKELY | {"stream": True}, [(BROKEN, 600)]),
    "text": (CHAT, HI, [(LETTER, 30_000)]),
    "near stops": (CHAT, HI | {"stop": STOPS, "n": 16}, [(LETTER, 100)]),
    "near stops, held": (CHAT, HI | LIKELY | {"stop": STOPS, "stream": True}, [(LETTER, 300)]),
    "near stops, at once": (CHAT, HI | {"stop": STOPS}, [(HUGE, 2)]),
    "open call": (CHAT, HI | {"tools": TOOLS}, [(CALL, 1), (LETTER, 50_000)]),
    "open call, at once": (CHAT, HI | {"tools": TOOLS}, [(CALL, 1), (HUGE, 10)]),
    "open calls": (CHAT, HI | {"tools": TOOLS}, [("<tool_call>", 10_000)]),
    "likely prompts": (COMPLETIONS, {"prompt": ["a"] * 64, "n": 16, "logprobs": 5}, [(LETTER, 2)]),
    "response": (RESPONSES, {"input": "hello", "store": True}, [(LETTER, 30_000)]),
    "message": (MESSAGES, HI | {"max_tokens": 30_000}, [(LETTER, 30_000)]),
    "bias": (CHAT, HI | {"logit_bias": {f"{i:010}": 1.0 for i in range(256)}}, [(LETTER, 2)]),
    "vectors": (EMBEDDINGS, {"input": ["a"] * 1024}, []),
    "vectors in base64": (EMBEDDINGS, {"input": ["a"] * 1024, "encoding_format": "base64"}, []),
    "control tokens": (TOKENIZE, {"messages": [{"role": "user", "content": CONTROL}]}, []),
    "large body": (CHAT, HI | {"metadata": {"a": "b" * (7 << 20)}}, [(LETTER, 2)]),
    "messages": (CHAT, {"messages": HI["messages"] * 2048}, [(LETTER, 2)]),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reached]:
    tokenizer = byte_level(MARKS, ordinary=[HUGE])
    size = tokenizer.get_vocab_size()
    path = write_checkpoint(tmp_path_factory.mktemp("stalls"), vocab_size=size)
    tokenizer.save(str(path / "tokenizer.json"))
    with scripted_worker(TOKEN, CONTEXT, tokenizer) as worker:
        async with a_router(RouterConfig("tiny", str(path), TOKEN), cast(Any, [worker])) as made:
            yield worker, made.url


@pytest.mark.parametrize("name", CASES)
async def test_others_have_their_turn(rig: Reached, name: str) -> None:
    worker, url = rig
    path, body, says = CASES[name]
    worker.say(says)
    tries: list[Stalls] = []
    while len(tries) < TRIES and not any(one.longest_s < LONGEST_S for one in tries):
        with measured() as stalls:
            await asyncio.to_thread(post, url + path, json.dumps(body).encode(), {})
        tries.append(stalls)
    assert min(one.longest_s for one in tries) < LONGEST_S, tries


async def test_an_answer_that_is_kept_is_read_again_in_turns(
    rig: Reached,
) -> None:
    worker, url = rig
    worker.say([(LETTER, 1_000)])
    body = json.dumps(HI | {"stream": True}).encode()
    first = await asyncio.to_thread(post, url + CHAT, body, RESUME)
    call_id = first.headers["X-Raylax-Call-Id"]
    last = {"Last-Event-ID": f"{call_id}:1"}
    with measured() as stalls:
        again = await asyncio.to_thread(
            httpx.get, f"{url}/v1/streams/{call_id}", headers=last, timeout=PATIENCE_S
        )
    assert again.content.count(b"data: ") == first.content.count(b"data: ") - 1
    assert stalls.longest_s < LONGEST_S, stalls


def post(url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """On a thread: a client's work is not the router's."""
    given = {"Content-Type": "application/json", **headers}
    reply = httpx.post(url, content=body, headers=given, timeout=PATIENCE_S)
    assert reply.status_code == 200, reply.text[:500]
    return reply
