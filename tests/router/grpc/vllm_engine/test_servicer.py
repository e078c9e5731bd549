"""The engine protocol of model gateways: token ids in and out, on the router's gRPC port."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from raylax.proto.pb import (
    common_pb2,
    raylax_pb2,
    raylax_pb2_grpc,
    vllm_engine_pb2_grpc,
)
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.grpc.vllm_engine.fields import READ
from tests.support.paths import ROOT
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    channel,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
GATEWAY = ROOT / "tests" / "support" / "router_gateway.py"
PROMPT = pb.TokenizedInput(input_ids=[5, 6, 7])
needs_stubs = pytest.mark.skipif(
    importlib.util.find_spec("smg_grpc_proto") is None, reason="smg-grpc-proto is not installed"
)


def asking(name: str = "", stream: bool = True, **sampling: Any) -> pb.GenerateRequest:
    params = {"temperature": 0.0, "max_tokens": 8, "ignore_eos": True} | sampling
    return pb.GenerateRequest(
        request_id=name,
        tokenized=PROMPT,
        sampling_params=pb.SamplingParams(**params),
        stream=stream,
    )


async def answers(rig: Rig, request: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    async with channel(rig.grpc_address) as made:
        return [one async for one in vllm_engine_pb2_grpc.VllmEngineStub(made).Generate(request)]


async def refusal(rig: Rig, request: pb.GenerateRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answers(rig, request)
    return caught.value


async def gateway(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(GATEWAY), *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(out)
    return told


Fields = dict[tuple[str, int], tuple[Any, ...]]


def fields(message: DescriptorProto, path: str) -> Iterator[tuple[tuple[str, int], Any]]:
    for field in message.field:
        kind = field.type_name or field.type
        yield (f"{path}.{field.name}", field.number), (kind, field.label, field.proto3_optional)
    for inner in message.nested_type:
        yield from fields(inner, f"{path}.{inner.name}")


def fields_of(file: FileDescriptorProto) -> Fields:
    return {
        number: kind
        for message in file.message_type
        for number, kind in fields(message, f"{file.package}.{message.name}")
    }


def methods_of(file: FileDescriptorProto) -> set[tuple[str, ...]]:
    return {
        (method.name, method.input_type, method.output_type, str(method.server_streaming))
        for service in file.service
        for method in service.method
    }


@needs_stubs
async def test_the_messages_are_those_of_gateways() -> None:
    """Every field of ours has the name, number and type that it has there; so do the methods."""
    told = await gateway("describe")
    files: dict[str, FileDescriptor] = {
        "vllm_engine": pb.DESCRIPTOR,
        "common": common_pb2.DESCRIPTOR,
    }
    for name, file in files.items():
        ours, theirs = FileDescriptorProto(), FileDescriptorProto()
        file.CopyToProto(ours)
        theirs.ParseFromString(bytes.fromhex(told[name]))

        assert fields_of(ours).items() <= fields_of(theirs).items()
        assert methods_of(ours) == methods_of(theirs)
        for message in READ:  # here none of theirs may be missing: it would be dropped
            begin = f"{message.DESCRIPTOR.full_name}."
            missing = fields_of(theirs).keys() - fields_of(ours).keys()
            assert [path for path, _ in missing if path.startswith(begin)] == []


@needs_stubs
async def test_a_gateway_can_use_it(checkpoint: Path) -> None:
    """By stubs that we did not write."""
    async with running_router(checkpoint) as rig:
        told = await gateway("call", rig.grpc_address)

    assert len(told["whole"]) == 6
    assert told["streamed"] == told["whole"]
    assert sorted(told["ends"]) == [[0, "length", 6], [1, "length", 6]]
    assert (told["logprobs"], told["top"]) == (6, [1] * 6)
    assert (told["healthy"], told["sha256"], told["loads"]) == (True, True, [True])
    assert told["model"] == ["tiny", 256, True]
    assert {"tokenizer.json", "config.json"} <= set(told["files"])
    assert told["embedding"][0] == told["embedding"][1] > 0
    assert told["server"] == ["vllm-grpc", 1]
    assert told["events"] == [["cleared"], ["stored"], ["removed"]]
    assert told["blocks"] == [list(range(5, 21)), list(range(21, 37))]
    assert told["flushed"] is True


async def test_the_tokens_are_those_of_raylax_v1(shared_rig: Rig) -> None:
    """The same request, the same tokens, whichever protocol it comes by."""
    replies = await answers(shared_rig, asking())
    sampling = raylax_pb2.Sampling(temperature=0, max_tokens=8, ignore_eos=True)
    tokens = raylax_pb2.TokenIds(ids=PROMPT.input_ids)
    async with channel(shared_rig.grpc_address) as made:
        request = raylax_pb2.GenerateRequest(tokens=tokens, sampling=sampling)
        plain = [one.text async for one in raylax_pb2_grpc.RaylaxStub(made).Generate(request)]

    chunks, end = [one.chunk for one in replies[:-1]], replies[-1].complete
    assert [token for chunk in chunks for token in chunk.token_ids] == list(end.output_ids)
    assert shared_rig.service.frontend.tokenizer.decode(end.output_ids) == "".join(plain)
    assert (end.finish_reason, end.prompt_tokens, end.completion_tokens) == ("length", 3, 8)


async def test_each_token_is_told_at_once(shared_rig: Rig) -> None:
    """Even where its text waits, since it may begin a stop string."""
    free = (await answers(shared_rig, asking()))[-1].complete.output_ids
    text = shared_rig.service.frontend.tokenizer.decode(free[:2]) + "never"
    replies = await answers(shared_rig, asking(stop=[text]))

    assert [list(one.chunk.token_ids) for one in replies[:-1]] == [[token] for token in free]


async def test_a_stop_string_is_named(shared_rig: Rig) -> None:
    """Tokens end with the one that completed it."""
    free = (await answers(shared_rig, asking()))[-1].complete.output_ids
    stop = shared_rig.service.frontend.tokenizer.decode(free[2:4])
    (reply,) = await answers(shared_rig, asking(stream=False, stop=[stop]))

    end = reply.complete
    assert (end.finish_reason, end.matched_stop_str) == ("stop", stop)
    assert list(end.output_ids) == list(free[: len(end.output_ids)])
    assert len(end.output_ids) <= 4


async def test_an_answer_may_fill_the_sequence(shared_rig: Rig) -> None:
    """Without `max_tokens` there is no other limit."""
    request = asking(stream=False)
    request.sampling_params.ClearField("max_tokens")
    (reply,) = await answers(shared_rig, request)

    assert len(reply.complete.output_ids) == 256 - 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sampling_params": pb.SamplingParams(json_schema="{")}, "json_schema"),
        ({"sampling_params": pb.SamplingParams(regex="(a")}, "regex"),
        ({"sampling_params": pb.SamplingParams(choice=pb.ChoiceConstraint())}, "guided_choice"),
        ({"sampling_params": pb.SamplingParams(min_tokens=9, max_tokens=8)}, "min_tokens"),
        ({"sampling_params": pb.SamplingParams(prompt_logprobs=0)}, "prompt_logprobs"),
        ({"sampling_params": pb.SamplingParams(logprobs=-1)}, "logprobs"),
        ({"sampling_params": pb.SamplingParams(n=99)}, "n"),
        ({"mm_inputs": pb.MultimodalInputs()}, "mm_inputs"),
        ({"kv_transfer_params_json": "{}"}, "kv_transfer_params_json"),
        ({"data_parallel_rank": 1}, "data_parallel_rank"),
        ({"tokenized": pb.TokenizedInput(input_ids=[99])}, "prompt"),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name(
    shared_rig: Rig, change: dict[str, Any], field: str
) -> None:
    request = asking()
    request.MergeFrom(pb.GenerateRequest(**change))
    if field == "prompt":
        request.tokenized.CopyFrom(change["tokenized"])
    error = await refusal(shared_rig, request)

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"{field}:" in (error.details() or "")


async def test_there_is_one_rank_of_which_to_ask(shared_rig: Rig) -> None:
    """Another one's load would be that of all."""
    async with channel(shared_rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        told = await stub.GetLoads(pb.GetLoadsRequest(dp_rank=0, include=["core"]))
        with pytest.raises(grpc.aio.AioRpcError, match="dp_rank: there is one rank"):
            await stub.GetLoads(pb.GetLoadsRequest(dp_rank=1))

    assert [load.dp_rank for load in told.loads] == [0]


async def test_an_abort_ends_the_answer(shared_rig: Rig) -> None:
    """With a reply that says so, and the worker is free."""
    worker = shared_rig.workers[0]
    async with channel(shared_rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        worker.hold(steps=2)
        call = stub.Generate(asking("mine", n=2))
        await until(lambda: worker.running)
        twice = await refusal(shared_rig, asking("mine"))
        await stub.Abort(pb.AbortRequest(request_ids=["another", "mine"]))
        replies = [one async for one in call]
        worker.let_go()
        await until(lambda: not worker.running)
        again = [one async for one in stub.Generate(asking("mine", stream=False))]

    ends = [one.complete for one in replies if one.HasField("complete")]
    assert sorted((end.index, end.finish_reason) for end in ends) == [(0, "abort"), (1, "abort")]
    assert "'mine' is running" in (twice.details() or "")
    assert again[0].complete.finish_reason == "length"


async def test_a_deadline_and_a_cancellation_reach_the_worker(shared_rig: Rig) -> None:
    worker = shared_rig.workers[0]
    async with channel(shared_rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        worker.hold(steps=1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.Generate(asking(), timeout=0.3):
                pass
        await until(lambda: not shared_rig.service.journal)
        call = stub.Generate(asking())
        await until(lambda: shared_rig.service.journal)
        call.cancel()
        await until(lambda: not shared_rig.service.journal)
        worker.let_go()
        await until(lambda: not worker.running)

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_what_no_worker_has_is_unimplemented(shared_rig: Rig) -> None:
    """With a reason, not as a service that does not know the method."""
    async with channel(shared_rig.grpc_address) as made:
        stub: Any = vllm_engine_pb2_grpc.VllmEngineStub(made)
        for method, request in (
            (stub.StartProfile, common_pb2.StartProfileRequest()),
            (stub.StopProfile, common_pb2.StopProfileRequest()),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(request)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
            assert "no profiler" in (caught.value.details() or "")


async def test_health_follows_the_workers(checkpoint: Path) -> None:
    async with running_router(checkpoint) as rig, channel(rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        before = await stub.HealthCheck(pb.HealthCheckRequest())
        await rig.workers[0].die()
        await until(lambda: not rig.router.ready)
        after = await stub.HealthCheck(pb.HealthCheckRequest())

    assert (before.healthy, after.healthy) == (True, False)
