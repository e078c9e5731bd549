"""Why a request went where it did: in the answer's header, and afterwards."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from raylax.cluster.cli import calls as routing
from raylax.cluster.errors import UserError
from raylax.proto.errors import NotFound
from raylax.proto.timeline import Candidate, Explanation, TimelineEvent, TimelineSnapshot
from raylax.proto.vocabulary import Cuts, Delta
from raylax.router.observe.timeline import Timeline, Timelines, as_json, from_json
from tests.support.router_rig import (
    ENGINE,
    PATIENCE_S,
    Rig,
    running_router,
    until,
)

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 4,
}  # fmt: skip


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, 2, replace(ENGINE, spec_draft_length=3)) as made:
        yield made


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
async def test_the_header_has_candidates_terms_choice_and_runner_up(
    client: httpx.AsyncClient, stream: bool
) -> None:
    body = {**ASK, "stream": stream}
    reply = await client.post(CHAT, json=body, headers={"X-Raylax-Explain": "1"})
    (choice,) = json.loads(reply.headers["X-Raylax-Explanation"])

    assert {choice["chosen"], choice["runner_up"]} == {"w0", "w1"}
    assert choice["policy"] == "expected-latency"
    assert [one["worker"] for one in choice["candidates"]][0] == choice["chosen"]
    assert {"cost", "ttft", "wait", "uncached"} <= choice["candidates"][0]["terms"].keys()
    assert 0 <= choice["candidates"][0]["age_s"] < PATIENCE_S


async def test_nothing_is_explained_unasked(client: httpx.AsyncClient) -> None:
    assert "X-Raylax-Explanation" not in (await client.post(CHAT, json=ASK)).headers


async def test_a_second_request_goes_where_its_prefix_is(client: httpx.AsyncClient) -> None:
    """The router knows by page events; the explanation shows what need not be computed."""
    body = {**ASK, "messages": [{"role": "user", "content": "a long beginning " * 9}]}
    explained = {"X-Raylax-Explain": "1"}
    first = await client.post(CHAT, json=body, headers=explained)
    second = await client.post(CHAT, json=body, headers=explained)
    (before,), (after,) = (json.loads(r.headers["X-Raylax-Explanation"]) for r in (first, second))

    assert after["chosen"] == before["chosen"]
    assert after["candidates"][0]["terms"]["uncached"] <= 16
    assert before["candidates"][0]["terms"]["uncached"] > 100


async def test_drafts_are_told_with_what_came_of_them(rig: Rig, client: httpx.AsyncClient) -> None:
    """Steps that verified some, their tokens, and how many were right; of an answer without any
    nothing is said."""
    asked = {**ASK, "max_tokens": 40, "logit_bias": {"97": 100}}
    reply = (await client.post(CHAT, json=asked)).json()
    moments = (await client.get(f"/explain/{reply['id']}")).json()["moments"]
    (said,) = [one["detail"] for one in moments if one["name"] == "drafted"]
    right = reply["usage"]["completion_tokens_details"]["accepted_prediction_tokens"]
    load = max((one.engine.load() for one in rig.workers), key=lambda load: load.drafts)
    short = (await client.post(CHAT, json={**ASK, "max_tokens": 1})).json()["id"]
    others = (await client.get(f"/explain/{short}")).json()["moments"]

    assert right > 0
    assert said.endswith(
        f", {load.drafts} drafts, {right} of {load.drafted_tokens} tokens accepted"
    )
    assert "drafted" not in [one["name"] for one in others]


def test_a_prompt_that_was_cut_is_told_in_words() -> None:
    """Once, with its first token; where the target could not be kept, that too."""
    timeline = Timeline("call", lambda: 1.0)
    for id, cuts in ("a", Cuts(9, 8, 0.0375, 0)), ("b", None), ("c", Cuts(99, 98, 0.001, 98)):
        timeline.first_token("w0", Delta(id, (1,), cuts=cuts))

    assert [(event.name, event.detail) for event in timeline.events] == [
        ("cut", "w0, the prompt took 9 steps, 8 of them cut for the next tokens of others, which "
         "were to come within 37.5 ms"),
        ("cut", "w0, the prompt took 99 steps, 98 of them cut for the next tokens of others, which "
         "were to come within 1 ms; in 98 that was not possible"),
    ]  # fmt: skip


async def test_the_timeline_is_told_afterwards(rig: Rig, client: httpx.AsyncClient) -> None:
    call_id = (await client.post(CHAT, json=ASK)).json()["id"]
    timeline = (await client.get(f"/explain/{call_id}")).json()

    names = [moment["name"] for moment in timeline["moments"]]
    assert names == ["admitted", "sent", "began", "first token", "ended"]
    times = [moment["at_s"] for moment in timeline["moments"]]
    assert times == sorted(times)
    unknown = await client.get("/explain/chatcmpl-of-nobody")
    assert unknown.status_code == 404
    assert "its last 4096 calls" in unknown.json()["error"]["message"]


async def test_a_worker_is_drained_by_its_name(rig: Rig, client: httpx.AsyncClient) -> None:
    reply = await client.post("/cluster/drain/w1", json={})

    assert reply.json() == {"worker": "w1", "state": "draining"}
    await until(lambda: rig.router.ready == ["w0"])
    unknown = await client.post("/cluster/drain/w9", json={})
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"] == "no worker named 'w9'; ready: w0"


def test_the_terminal_shows_a_waterfall() -> None:
    moments = [
        {"at_s": 0.0, "name": "admitted", "detail": ""},
        {"at_s": 0.5, "name": "sent", "detail": "w0"},
        {"at_s": 1.0, "name": "ended", "detail": ""},
    ]
    out = StringIO()
    Console(file=out, width=80).print(routing.waterfall(moments))
    lines = out.getvalue().splitlines()

    assert [line.split()[:2] for line in lines[1:]] == [
        ["0.0", "admitted"], ["500.0", "sent"], ["1000.0", "ended"],
    ]  # fmt: skip
    assert lines[1].count("█") == lines[2].count("█") == routing.WIDTH // 2


def test_nobody_at_an_address_is_one_line() -> None:
    with pytest.raises(UserError, match="no raylax answers"):
        routing.explain("http://127.0.0.1:9", "x", False, Console())


def test_a_timeline_is_the_same_after_its_way_to_another_router() -> None:
    candidates = (Candidate("w1", 0.25, {"cost": 7.0}), Candidate("w0", 0.5, {"cost": 9.0}))
    explanation = Explanation("call/0/0", "least-tokens", "w1", "why", "w0", candidates)
    timeline = TimelineSnapshot("call", (TimelineEvent(0.5, "sent", "w1"),), (explanation,))
    told = json.loads(json.dumps(as_json(timeline)))

    assert from_json(told) == timeline
    assert told.keys() == {"call_id", "moments", "choices"}


@pytest.mark.parametrize(
    ("calls", "remembered"),
    [
        ("aaaaa", "aaa"),
        ("abbbbb", "abb"),
        ("aabbbb", "abb"),
        ("aaabc", "abc"),
        ("abcd", "bcd"),
    ],
)
def test_the_tenant_with_most_timelines_loses_its_oldest(calls: str, remembered: str) -> None:
    """So that many calls of one do not make another's forgotten."""
    timelines = Timelines(most=3)
    for number, tenant in enumerate(calls):
        timelines.begin(Timeline(f"{number}", lambda: 0.0, tenant))
    found = ""
    for number in range(len(calls)):
        with suppress(NotFound):
            found += timelines.find(f"{number}").tenant

    assert found == remembered
    assert len(timelines) == 3


@pytest.mark.parametrize(
    ("calls", "remembered"),
    [
        ([("a", 1), ("b", 2)], [0, 1]),
        ([("a", 1), ("b", 1), ("b", 2)], [0, 2]),
        ([("a", 1), ("a", 1), ("b", 99)], [0, 1, 2]),
        ([("a", 99), ("b", 1)], [1]),
        ([("a", 2), ("b", 2), ("a", 1)], [1, 2]),
    ],
)
def test_a_timeline_counts_as_what_it_keeps(
    calls: list[tuple[str, int]], remembered: list[int]
) -> None:
    """A decision for each sequence. The one that begins is there in any case."""
    timelines, found = Timelines(most=3), []
    for number, (tenant, sequences) in enumerate(calls):
        timelines.begin(Timeline(f"{number}", lambda: 0.0, tenant, sequences))
    for number in range(len(calls)):
        with suppress(NotFound):
            timelines.find(f"{number}")
            found.append(number)

    assert found == remembered
