"""The gRPC API over real sockets, with the standard health and reflection services."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    channel,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
GREEDY = raylax_pb2.Sampling(temperature=0, max_tokens=8)
ASK = raylax_pb2.ChatRequest(
    messages=[raylax_pb2.Message(role="user", content="hi")], sampling=GREEDY
)

TEXT = raylax_pb2.EmbedRequest.Input(text="hi")


async def test_chat_and_generate_stream(shared_rig: Rig) -> None:
    """The reason and the usage come with the last reply."""
    async with channel(shared_rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        chat = [reply async for reply in stub.Chat(ASK)]
        tokens = raylax_pb2.GenerateRequest(
            tokens=raylax_pb2.TokenIds(ids=[5, 6, 7]), sampling=GREEDY
        )
        plain = [reply async for reply in stub.Generate(tokens)]
        models = await stub.ListModels(raylax_pb2.ListModelsRequest())

    for replies in (chat, plain):
        assert [reply.finish_reason for reply in replies][-1] == "length"
        assert replies[-1].usage.completion_tokens == 8
        assert "".join(reply.text for reply in replies)
    assert [(m.id, m.max_model_len) for m in models.models] == [("tiny", 256)]


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (raylax_pb2.ChatRequest(), grpc.StatusCode.INVALID_ARGUMENT, "messages"),
        (
            raylax_pb2.ChatRequest(messages=ASK.messages, model="x"),
            grpc.StatusCode.NOT_FOUND,
            "there is tiny",
        ),
        (
            raylax_pb2.ChatRequest(
                messages=ASK.messages, sampling=raylax_pb2.Sampling(temperature=9)
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "temperature",
        ),
    ],
)
async def test_a_mistake_has_its_status(
    shared_rig: Rig, request_: raylax_pb2.ChatRequest, code: grpc.StatusCode, said: str
) -> None:
    async with channel(shared_rig.grpc_address) as made:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(request_):
                pass

    assert caught.value.code() == code
    assert said in (caught.value.details() or "")


GENERATE = "/raylax.v1.Raylax/Generate"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (raylax_pb2.GenerateRequest(), "must not be empty"),
        (raylax_pb2.GenerateRequest(tokens=raylax_pb2.TokenIds()), "at least 1 item"),
        (raylax_pb2.GenerateRequest(tokens=raylax_pb2.TokenIds(ids=[99])), "vocabulary of 99"),
        (
            raylax_pb2.GenerateRequest(tokens=raylax_pb2.TokenIds(ids=[5] * 300_000)),
            "may have 262144 token ids, it has 300000",
        ),
        (raylax_pb2.GenerateRequest(text="x" * 300), "300 tokens, the limit is 255"),
        (
            raylax_pb2.GenerateRequest(text="a", sampling=raylax_pb2.Sampling(top_p=float("nan"))),
            "top_p",
        ),
        (b"\x12\x02\xff\xfe", "not valid"),
    ],
)
async def test_bad_input_is_an_invalid_argument(
    shared_rig: Rig, message: raylax_pb2.GenerateRequest | bytes, said: str
) -> None:
    """Bytes that are no message, or no UTF-8, included; the next call works."""
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    async with channel(shared_rig.grpc_address) as made:
        generate: Any = made.unary_stream(GENERATE)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in generate(raw):
                pass
        replies = [reply async for reply in raylax_pb2_grpc.RaylaxStub(made).Chat(ASK)]

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert said in (caught.value.details() or "")
    assert replies[-1].finish_reason == "length"


async def test_a_deadline_and_a_cancellation_reach_the_worker(shared_rig: Rig) -> None:
    worker = shared_rig.workers[0]
    async with channel(shared_rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        worker.hold(steps=2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.Chat(ASK, timeout=0.3):
                pass
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: not shared_rig.service.journal)
        worker.let_go()
        await until(lambda: not worker.running)

        worker.hold(steps=2)
        call = stub.Chat(ASK)
        await until(lambda: worker.running)
        call.cancel()
        await until(lambda: not shared_rig.service.journal)
        embedding = stub.Embed(raylax_pb2.EmbedRequest(inputs=[TEXT]))
        await until(lambda: shared_rig.service.journal)
        embedding.cancel()
        await until(lambda: not shared_rig.service.journal)
        worker.let_go()
        await until(lambda: not worker.running)


async def test_vectors_come_in_the_order_of_the_inputs(shared_rig: Rig) -> None:
    """Text or ids, at length 1; fewer dimensions are those of the same vector."""
    ids = shared_rig.service.frontend.tokenizer.encode("hi")
    inputs = [raylax_pb2.EmbedRequest.Input(text=text) for text in ("hi", "ho")]
    tokens = raylax_pb2.EmbedRequest.Input(tokens=raylax_pb2.TokenIds(ids=ids))
    async with channel(shared_rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        texts = await stub.Embed(raylax_pb2.EmbedRequest(inputs=inputs))
        short = await stub.Embed(raylax_pb2.EmbedRequest(inputs=[tokens], dimensions=4))

    first, second = (list(one.values) for one in texts.embeddings)
    (cut,) = (list(one.values) for one in short.embeddings)
    assert first != second
    assert sum(value * value for value in first) == pytest.approx(1)
    assert cut == pytest.approx([v / sum(x * x for x in first[:4]) ** 0.5 for v in first[:4]])
    assert texts.usage.prompt_tokens == 2 * len(ids)
    assert texts.usage.completion_tokens == 0


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (raylax_pb2.EmbedRequest(), "at least 1 item"),
        (raylax_pb2.EmbedRequest(inputs=[raylax_pb2.EmbedRequest.Input(text="")]), "empty"),
        (
            raylax_pb2.EmbedRequest(
                inputs=[
                    raylax_pb2.EmbedRequest.Input(text="a"),
                    raylax_pb2.EmbedRequest.Input(tokens=raylax_pb2.TokenIds(ids=[5])),
                ]
            ),
            "inputs: must all be text or all be token ids",
        ),
        (b"\x0a\x02\xff\xfe", "not valid"),
    ],
)
async def test_inputs_that_cannot_be_embedded(
    shared_rig: Rig, message: raylax_pb2.EmbedRequest | bytes, said: str
) -> None:
    """Bytes that are no message included: methods with one reply refuse them, too."""
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    async with channel(shared_rig.grpc_address) as made:
        embed: Any = made.unary_unary("/raylax.v1.Raylax/Embed")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await embed(raw)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert said in (caught.value.details() or "")


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ({"priority": "first"}, "must be high, normal or low"),
        ({"timeout_s": -1.0}, "timeout"),
        (
            {"resume_ttl_s": 0.0},
            "resume_ttl_s: must be seconds, more than 0 and at most 31536000, found 0",
        ),
    ],
)
async def test_a_wrong_manner_is_refused(
    shared_rig: Rig, manner: dict[str, Any], said: str
) -> None:
    request = raylax_pb2.ChatRequest(messages=ASK.messages, **manner)
    async with channel(shared_rig.grpc_address) as made:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(request):
                pass

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert said in (caught.value.details() or "")


async def test_a_requests_own_timeout_ends_it(shared_rig: Rig) -> None:
    """As the deadline of the call does, of which the earlier one holds."""
    request = raylax_pb2.ChatRequest(messages=ASK.messages, timeout_s=0.2)
    shared_rig.workers[0].hold(steps=1)
    async with channel(shared_rig.grpc_address) as made:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(request, timeout=PATIENCE_S):
                pass
    await until(lambda: not shared_rig.service.journal)
    shared_rig.workers[0].let_go()

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert dict(caught.value.trailing_metadata())["error-code"] == "deadline_exceeded"


async def test_errors_say_what_a_client_can_act_upon(checkpoint: Path) -> None:
    """In the trailing metadata: the code, the field, and when to come back."""
    async with (
        running_router(checkpoint, max_inflight=1) as full,
        channel(full.grpc_address) as made,
    ):
        with full.models.state.places.taken("", 1), pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(ASK):
                pass

    told = dict(caught.value.trailing_metadata())
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told["error-code"] == "rate_limit_exceeded"
    assert float(told["retry-after-s"]) > 0


async def test_a_choice_is_explained(shared_rig: Rig) -> None:
    """With the first reply alone, and afterwards with all that happened."""
    request = raylax_pb2.ChatRequest(messages=ASK.messages, sampling=GREEDY, explain=True)
    async with channel(shared_rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        first, *later = [reply async for reply in stub.Chat(request)]
        timeline = await stub.Explain(raylax_pb2.ExplainRequest(request_id=first.id))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Explain(raylax_pb2.ExplainRequest(request_id="unheard-of"))

    assert first.explanation.chosen == "w0"
    assert [one.worker for one in first.explanation.candidates] == ["w0"]
    assert not any(reply.HasField("explanation") for reply in later)
    assert list(timeline.explanations) == [first.explanation]
    assert {"first token", "ended"} <= {event.name for event in timeline.events}
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_an_answer_outlives_its_client(shared_rig: Rig) -> None:
    """Who comes back gets the rest, and may hear all of it again; others find nothing."""
    request = raylax_pb2.ChatRequest(messages=ASK.messages, sampling=GREEDY, resume_ttl_s=60)
    async with channel(shared_rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        shared_rig.workers[0].hold(steps=4)
        call = stub.Chat(request)
        first = await anext(aiter(call))
        call.cancel()
        shared_rig.workers[0].let_go()
        ask = raylax_pb2.ResumeRequest(id=first.id, after_sequence=1)
        rest = [reply.chat async for reply in stub.ResumeStream(ask)]
        ask.after_sequence = 0
        again = [reply.chat async for reply in stub.ResumeStream(ask)]
        plain = [reply async for reply in stub.Chat(ASK)]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.ResumeStream(raylax_pb2.ResumeRequest(id="another")):
                pass

    assert again == [first, *rest]
    assert [reply.sequence for reply in again] == list(range(1, len(again) + 1))
    assert "".join(reply.text for reply in again) == "".join(reply.text for reply in plain)
    assert rest[-1].usage.completion_tokens == 8
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_health_and_reflection(shared_rig: Rig) -> None:
    """What load balancers and grpcurl ask."""
    async with channel(shared_rig.grpc_address) as made:
        health = health_pb2_grpc.HealthStub(made)
        answers = [
            await health.Check(  # type: ignore[attr-defined]  # its stubs lack the methods
                health_pb2.HealthCheckRequest(service=name)
            )
            for name in ("", "raylax.v1.Raylax", "vllm.grpc.engine.VllmEngine")
        ]

    def services() -> list[str]:
        with grpc.insecure_channel(shared_rig.grpc_address) as plain:
            return list(ProtoReflectionDescriptorDatabase(plain).get_services())

    assert all(one.status == health_pb2.HealthCheckResponse.SERVING for one in answers)
    served = await asyncio.to_thread(services)
    assert {"raylax.v1.Raylax", "vllm.grpc.engine.VllmEngine"} <= set(served)


async def generated(rig: Rig, **fields: Any) -> list[raylax_pb2.GenerateReply]:
    async with channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        return [one async for one in stub.Generate(raylax_pb2.GenerateRequest(**fields))]


async def completed(rig: Rig, **fields: Any) -> Any:
    """The same by HTTP."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        answer = await http.post(f"{rig.url}/v1/completions", json=fields)
    return answer.json()["choices"]


async def test_the_likeliest_of_several_are_told(shared_rig: Rig) -> None:
    """Those of HTTP, each in one reply, in the same order; of the others nothing is told."""
    asked: dict[str, Any] = {"max_tokens": 9, "n": 2, "seed": 5, "ignore_eos": True}
    sampling = raylax_pb2.Sampling(**asked, top_logprobs=1)
    replies = await generated(shared_rig, text="hi", best_of=6, sampling=sampling)
    choices = await completed(shared_rig, prompt="hi", best_of=6, logprobs=1, **asked)
    several = await completed(shared_rig, prompt="hi", **{**asked, "n": 6})

    assert [one.text for one in replies] == [one["text"] for one in choices]
    assert [one.text for one in replies] != [one["text"] for one in several[:2]]
    assert [(one.choice, one.finish_reason) for one in replies] == [(0, "length"), (1, "length")]
    assert [entry.logprob for entry in replies[1].logprobs] == pytest.approx(
        choices[1]["logprobs"]["token_logprobs"]
    )
    assert [one.HasField("usage") for one in replies] == [False, True]
    assert replies[1].usage.completion_tokens == 6 * 9


@pytest.mark.parametrize("best_of", [None, 2])
async def test_the_log_probabilities_of_a_prompt_come_last(
    shared_rig: Rig, best_of: int | None
) -> None:
    """Those of HTTP, with so many others; the answer's are not told if nobody asks."""
    sampling = raylax_pb2.Sampling(temperature=0, max_tokens=3, prompt_logprobs=2)
    *before, last = await generated(shared_rig, text="a text", best_of=best_of, sampling=sampling)
    (choice,) = await completed(
        shared_rig, prompt="a text", temperature=0, max_tokens=3, prompt_logprobs=2
    )
    told = choice["prompt_logprobs"][1:]

    assert [one.token for one in last.prompt_logprobs] == list(" text")
    for entry, place in zip(last.prompt_logprobs, told, strict=True):
        by_token = {one["decoded_token"]: one["logprob"] for one in place.values()}
        assert entry.logprob == by_token[entry.token]
        assert {one.token: one.logprob for one in entry.top}.items() <= by_token.items()
        assert len(entry.top) == 2
    assert not any(one.prompt_logprobs for one in before)
    assert not any(one.logprobs for one in (*before, last))


@pytest.mark.parametrize("field", ["best_of", "prompt_logprobs"])
async def test_what_comes_at_the_end_alone_cannot_be_resumed(shared_rig: Rig, field: str) -> None:
    sampling = raylax_pb2.Sampling(prompt_logprobs=1)
    asked: dict[str, Any] = {"best_of": 2} if field == "best_of" else {"sampling": sampling}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await generated(shared_rig, text="a", resume_ttl_s=9, **asked)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"{field}: not of an answer")


async def test_a_call_that_must_be_made(shared_rig: Rig) -> None:
    """Of the function that is allowed, with arguments that are what it says."""
    look = {
        "type": "object",
        "properties": {"days": {"enum": [3]}},
        "required": ["days"],
        "additionalProperties": False,
    }
    tools = [
        raylax_pb2.Tool(name="look", parameters_json=json.dumps(look), strict=True),
        raylax_pb2.Tool(name="stop"),
    ]
    asked = raylax_pb2.ChatRequest(
        messages=ASK.messages,
        sampling=raylax_pb2.Sampling(max_tokens=120, temperature=1, seed=4),
        tools=tools,
        tool_choice="required",
        allowed_tools=["look"],
        parallel_tool_calls=False,
    )
    async with channel(shared_rig.grpc_address) as made:
        replies = [one async for one in raylax_pb2_grpc.RaylaxStub(made).Chat(asked)]
    parts = [part for reply in replies for part in reply.tool_calls]

    assert parts[0].name == "look"
    assert json.loads("".join(part.arguments_json for part in parts)) == {"days": 3}
    assert replies[-1].finish_reason == "tool_calls"
