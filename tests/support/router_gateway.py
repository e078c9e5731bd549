"""A model gateway's side of the engine protocol, by stubs that we did not write.

A process of its own (`python router_gateway.py describe`, or `… call ADDRESS`): both sides'
messages have the same names, and a process can hold only one of them. It prints JSON.
"""

import io
import json
import sys
import zipfile
from hashlib import sha256
from typing import Any

import grpc
from smg_grpc_proto import vllm_engine_pb2 as pb
from smg_grpc_proto import vllm_engine_pb2_grpc
from smg_grpc_proto.generated import common_pb2


def describe() -> dict[str, str]:
    """The protocol's descriptors, in hex."""
    files = {"vllm_engine": pb.DESCRIPTOR, "common": common_pb2.DESCRIPTOR}
    return {name: file.serialized_pb.hex() for name, file in files.items()}


def kv_events(stub: Any) -> dict[str, Any]:
    """What is heard of one prompt's pages until they are dropped."""
    heard = stub.SubscribeKvEvents(common_pb2.SubscribeKvEventsRequest())
    batches = [next(heard)]
    tokens = pb.TokenizedInput(input_ids=range(5, 40))
    request = pb.GenerateRequest(tokenized=tokens, sampling_params=pb.SamplingParams(max_tokens=1))
    list(stub.Generate(request))
    batches.append(next(heard))
    flushed = stub.FlushCache(common_pb2.FlushCacheRequest(timeout_s=10))
    batches.append(next(heard))
    heard.cancel()
    blocks = batches[1].events[0].stored.blocks
    return {
        "events": [[event.WhichOneof("data") for event in batch.events] for batch in batches],
        "blocks": [list(block.token_ids) for block in blocks],
        "flushed": flushed.success,
    }


def call(address: str) -> dict[str, Any]:
    with grpc.insecure_channel(address) as channel:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(channel)
        sampling = pb.SamplingParams(temperature=0, max_tokens=6, n=2, logprobs=1, ignore_eos=True)
        tokens = pb.TokenizedInput(original_text="?", input_ids=[5, 6, 7])
        request = pb.GenerateRequest(
            request_id="one", tokenized=tokens, sampling_params=sampling, stream=True
        )
        replies = list(stub.Generate(request))
        chunks = [reply.chunk for reply in replies if reply.HasField("chunk")]
        complete = [reply.complete for reply in replies if reply.HasField("complete")]
        request.stream = False
        (whole, _) = stub.Generate(request)
        info = stub.GetModelInfo(pb.GetModelInfoRequest())
        parts = list(stub.GetTokenizer(common_pb2.GetTokenizerRequest()))
        archive = b"".join(part.data for part in parts)
        embedding = stub.Embed(pb.EmbedRequest(request_id="two", tokenized=tokens))
        server = stub.GetServerInfo(pb.GetServerInfoRequest())
        return {
            "streamed": [token for c in chunks if c.index == 0 for token in c.token_ids],
            "ends": [[c.index, c.finish_reason, c.completion_tokens] for c in complete],
            "whole": list(whole.complete.output_ids),
            "logprobs": len(whole.complete.output_logprobs.token_logprobs),
            "top": [len(top.values) for top in whole.complete.output_logprobs.top_logprobs],
            "healthy": stub.HealthCheck(pb.HealthCheckRequest()).healthy,
            "model": [info.served_model_name, info.max_context_length, info.is_generation],
            "files": sorted(zipfile.ZipFile(io.BytesIO(archive)).namelist()),
            "sha256": parts[-1].sha256 == sha256(archive).hexdigest(),
            "embedding": [len(embedding.embedding), embedding.embedding_dim],
            "loads": [
                load.max_total_num_tokens > 0 for load in stub.GetLoads(pb.GetLoadsRequest()).loads
            ],
            "server": [server.server_type, server.data_parallel_size],
            **kv_events(stub),
        }


if __name__ == "__main__":
    print(json.dumps(describe() if sys.argv[1] == "describe" else call(sys.argv[2])))
