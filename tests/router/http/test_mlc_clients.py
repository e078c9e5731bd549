"""What clients of MLC-LLM's server look for, as far as OpenAI's clients have no other opinion."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from raylax.cluster.metrics.exposition import exposition
from raylax.cluster.metrics.state import Reports
from raylax.router.http.endpoints.cluster import NoCluster
from tests.support.mlc_packages import write_scripted_package
from tests.support.router_rig import PATIENCE_S, Rig, running_http, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLAIN, CHAT = "/v1/completions", "/v1/chat/completions"
SAID = ("Well", ". ", "Yes")
DEBUG = {"ignore_eos": True}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Of a package, whose penalties are strong."""
    package = write_scripted_package(tmp_path_factory.mktemp("package"), SAID, stop_token_ids=[1])
    async with running_router(package, enable_debug=True) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


async def chunks(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    reply = await client.post(path, json={**body, "stream": True})
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_the_list_of_models(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    (card,) = listed["data"]

    assert listed["object"] == "list"
    assert (card["id"], card["object"], card["owned_by"]) == ("tiny", "model", "MLC-LLM")


@pytest.mark.parametrize(
    "told",
    [
        {}, {"echo": True}, {"suffix": "Hello, world!"}, {"temperature": 0.0},
        {"logit_bias": {"38": -100}}, {"frequency_penalty": 2.0, "presence_penalty": 2.0},
        {"seed": 233},
    ],
    ids=str,
)  # fmt: skip
async def test_completions(client: httpx.AsyncClient, told: dict[str, Any]) -> None:
    """As long as they were asked for, with a usage in each chunk, if only to say that there is
    none; equal seeds say the same."""
    body = {"model": "tiny", "prompt": "Why?", "max_tokens": 12, "debug_config": DEBUG, **told}
    whole = (await client.post(PLAIN, json=body)).json()
    streamed = await chunks(client, PLAIN, body)
    text = "".join(one["choices"][0]["text"] for one in streamed)

    assert [one["finish_reason"] for one in whole["choices"]] == ["length"]
    assert streamed[-1]["choices"][0]["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == 12
    assert {one["object"] for one in (whole, *streamed)} == {"text_completion"}
    assert all(one["usage"] is None for one in streamed)
    assert text.startswith("Why?") == ("echo" in told)
    assert text.endswith("Hello, world!") == ("suffix" in told)
    if "seed" in told or "temperature" in told:
        assert text == whole["choices"][0]["text"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_has_one_line(
    client: httpx.AsyncClient, stream: bool
) -> None:
    """No stream is begun for it."""
    body = {"model": "tiny", "prompt": [28] * 100_000, "max_tokens": 256, "stream": stream}
    reply = await client.post(PLAIN, json=body)

    assert (reply.status_code, len(reply.text.splitlines())) == (400, 1)
    assert "has 100000 tokens, the limit is 255" in reply.json()["error"]["message"]


async def test_who_gives_up_ends_the_call(rig: Rig, client: httpx.AsyncClient) -> None:
    (worker,) = rig.workers
    worker.hold(3)
    with pytest.raises(httpx.ReadTimeout):
        await client.post(
            PLAIN,
            json={"prompt": "Why?", "max_tokens": 200, "debug_config": DEBUG},
            timeout=0.3,
        )
    worker.let_go()
    await until(lambda: not worker.running)

    assert (await client.get("/v1/models")).status_code == 200


MESSAGES = [
    [{"role": "user", "content": "Hello!"}],
    [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "What?"},
    ],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}],
]


@pytest.mark.parametrize("messages", MESSAGES)
@pytest.mark.parametrize("n", [1, 3])
async def test_chats(client: httpx.AsyncClient, messages: list[dict[str, str]], n: int) -> None:
    body = {"model": "tiny", "messages": messages, "n": n, "max_tokens": 300, "temperature": 0}
    whole = (await client.post(CHAT, json=body)).json()
    texts = [""] * n
    for one in await chunks(client, CHAT, body):
        for choice in one["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""

    assert [one["message"]["content"] for one in whole["choices"]] == ["Well. Yes"] * n == texts
    assert {one["finish_reason"] for one in whole["choices"]} == {"stop"}
    usage = whole["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_system_message_comes_first(client: httpx.AsyncClient, stream: bool) -> None:
    """In a package's template, which has one place for it."""
    messages = [*MESSAGES[0], {"role": "system", "content": "Be brief."}]
    reply = await client.post(CHAT, json={"messages": messages, "stream": stream})

    assert (reply.status_code, len(reply.text.splitlines())) == (400, 1)
    assert "has one system message, which comes first" in reply.json()["error"]["message"]


class ItsWorkers(NoCluster):
    """A cluster of a rig's workers alone."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def exposition(self, openmetrics: bool) -> bytes:
        reports = Reports()
        for worker in self._rig.workers:
            reports.add(worker.report(1, "node"), 0.0)
        return exposition(reports, 0.0)


async def test_metrics_have_mlcs_names(rig: Rig, client: httpx.AsyncClient) -> None:
    """Each as it is written there, with the rest of its name above it; labels as Prometheus
    wants them."""
    await client.post(PLAIN, json={"prompt": "Why?", "max_tokens": 12, "debug_config": DEBUG})
    async with running_http(rig.models, ItsWorkers(rig)) as url, httpx.AsyncClient() as asking:
        lines = (await asking.get(f"{url}/metrics")).text.splitlines()
    named = {line.partition("{")[0] for line in lines}

    assert {
        "engine_prefill_time_sum", "engine_decode_time_sum", "completion_tokens_sum",
        "last_finished_request_ttft_s", "decode_time_by_batch_size_mean",
    } <= named  # fmt: skip
    assert any('batch_size="1"' in line for line in lines)


async def choices_of(client: httpx.AsyncClient, body: dict[str, Any], stream: bool) -> list[Any]:
    """The one of each chunk, or of the whole answer."""
    if stream:
        return [one["choices"][0] for one in await chunks(client, PLAIN, body)]
    return list((await client.post(PLAIN, json=body)).json()["choices"])


@pytest.mark.parametrize("stream", [False, True])
async def test_the_log_probabilities_of_a_prompt(checkpoint: Path, stream: bool) -> None:
    """With its echo, as OpenAI's older models gave them; and whichever worker is lost meanwhile."""
    body: dict[str, Any] = {
        "prompt": "What is the meaning of life?", "max_tokens": 4, "temperature": 0,
        "logprobs": 2, "echo": True, "ignore_eos": True,
    }  # fmt: skip
    async with (
        running_router(checkpoint, count=2) as two,
        httpx.AsyncClient(base_url=two.url, timeout=PATIENCE_S) as asking,
    ):
        whole = (await asking.post(PLAIN, json=body)).json()["choices"][0]
        for worker in two.workers:
            worker.hold(1)
        telling = asyncio.create_task(choices_of(asking, body, stream))
        await until(lambda: any(worker.running for worker in two.workers))
        (busy,) = [worker for worker in two.workers if worker.running]
        await busy.die()
        for worker in two.workers:
            worker.let_go()
        parts = await telling

    logprobs = whole["logprobs"]
    assert "".join(one["text"] for one in parts) == whole["text"] == "".join(logprobs["tokens"])
    assert whole["text"].startswith(body["prompt"])
    assert logprobs["token_logprobs"][0] is None and logprobs["top_logprobs"][0] is None
    assert all(value < 0 for value in logprobs["token_logprobs"][1:])
    for name, values in logprobs.items():
        assert [v for one in parts if one["logprobs"] for v in one["logprobs"][name]] == values
