"""Requests of gateways in terms of the OpenAI requests, so that their rules are shared."""

from typing import Any

import numpy as np

from raylax.proto.errors import InvalidRequest
from raylax.proto.grpc_api import bounded, check_count
from raylax.proto.openai.body import validated
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.structure import MOST_TEXTS
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.grpc.vllm_engine.fields import check

ZERO_IS_UNSET = ("top_p", "top_k", "repetition_penalty", "n")
AS_GIVEN = ("min_p", "presence_penalty", "frequency_penalty", "ignore_eos", "min_tokens")
OPTIONAL = ("temperature", "max_tokens", "logprobs", "seed", "truncate_prompt_tokens")

NEVER_INCLUDED = (
    "the tokens of a stop string are part of every answer, those of stop_token_ids of none; leave "
    "it out, or use stop"
)


def generate_request(message: pb.GenerateRequest) -> CompletionRequest:
    """The completion that is asked for. Raises InvalidRequest for what this engine does not
    have."""
    check(message)
    check(message.sampling_params)
    fields = sampling_fields(message.sampling_params)
    if message.HasField("tokenized"):
        check_count(len(message.tokenized.input_ids), "input_ids")
        fields["prompt"] = list(message.tokenized.input_ids)
    else:
        fields["prompt"] = message.text
    return validated(CompletionRequest, fields)


def embedding_request(message: pb.EmbedRequest) -> EmbeddingRequest:
    """The embedding that is asked for. Raises InvalidRequest for what this engine does not have."""
    check_count(len(message.tokenized.input_ids), "input_ids")
    return validated(EmbeddingRequest, {"input": list(message.tokenized.input_ids)})


def sampling_fields(message: pb.SamplingParams) -> dict[str, Any]:
    """The fields of a completion's sampling. What a gateway leaves open is neutral, as in engines
    of this protocol, and not as the model's generation_config.json says: the gateway has been told
    that, and has applied it. Raises InvalidRequest for two of them that exclude each other."""
    fields: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1}
    fields |= {
        name: as_meant(getattr(message, name)) for name in ZERO_IS_UNSET if getattr(message, name)
    }
    fields |= {name: as_meant(getattr(message, name)) for name in AS_GIVEN}
    given = {field.name: as_meant(value) for field, value in message.ListFields()}
    fields |= {name: given[name] for name in OPTIONAL if name in given}
    if message.logit_bias:
        biases = message.logit_bias.items()
        fields["logit_bias"] = {str(token): as_meant(value) for token, value in biases}
    if message.stop:
        fields["stop"] = bounded(message.stop)
    if message.stop_token_ids:
        if message.include_stop_str_in_output:
            name = "include_stop_str_in_output"
            raise InvalidRequest(f"{name}: {NEVER_INCLUDED}", param=name)
        fields["stop_token_ids"] = bounded(message.stop_token_ids)
    if form := message.WhichOneof("constraint"):
        fields |= form_fields(form, getattr(message, form))
    return fields


def form_fields(form: str, value: Any) -> dict[str, Any]:
    """The field of a completion that says the same of the form of its text."""
    if form == "choice":
        return {"guided_choice": list(value.choices[: MOST_TEXTS + 1])}
    return {"guided_json_object" if form == "json_object" else form: value}


def as_meant(value: Any) -> Any:
    """A float of 32 bits as the decimal that whoever sent it wrote: by HTTP the same request has
    the same temperature then, and the same tokens."""
    return float(str(np.float32(value))) if isinstance(value, float) else value
