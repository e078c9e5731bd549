"""Fields of gateways' requests that are not read: why they make no difference, or are refused.

A gateway has a field for everything that some engine can do. A test holds the tables, with `READ`,
to the .proto files, and `docs/api.md` to the tables.
"""

from collections.abc import Mapping

from google.protobuf.message import Message

from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.field_rules import FieldTable, Ignored, Refused, refusal
from raylax.proto.openai.fields import OF_TEXT, TEXT_ONLY
from raylax.proto.pb import common_pb2 as common
from raylax.proto.pb import vllm_engine_pb2 as pb

OF_THE_GATEWAY = Ignored("the gateway makes the text")
ONE_RANK = Refused("there is one rank, number 0; leave it out", (0,))
PAGES = Refused(OF_TEXT["kv_transfer_params"].why)
MEDIA = Refused(TEXT_ONLY)
NOT_READ: Mapping[type[Message], FieldTable] = {
    pb.GenerateRequest: {
        "kv_transfer_params": PAGES, "kv_transfer_params_json": PAGES,
        "mm_inputs": MEDIA, "extra_mm_inputs": MEDIA, "media_refs": MEDIA,
        "data_parallel_rank": ONE_RANK,
    },
    pb.TokenizedInput: {"original_text": Ignored("its token ids are there")},
    pb.SamplingParams: {
        "prompt_logprobs": Refused("log-probabilities are those of the answer; leave it out"),
        "skip_special_tokens": OF_THE_GATEWAY, "spaces_between_special_tokens": OF_THE_GATEWAY,
        "grammar_from_first_token": Ignored("grammars begin with the first token"),
    },
    pb.EmbedRequest: {"request_id": Ignored("an embedding is ended by cancelling its call")},
    pb.GetLoadsRequest: {
        "dp_rank": ONE_RANK, "include": Ignored("all that is known is told"),
    },
    common.SubscribeKvEventsRequest: {
        "load_records_before_first_batch": Ignored("there are no records of load; see GetLoads"),
    },
}  # fmt: skip
READ: Mapping[type[Message], frozenset[str]] = {
    pb.GenerateRequest: frozenset({"request_id", "tokenized", "text", "sampling_params", "stream"}),
    pb.TokenizedInput: frozenset({"input_ids"}),
    pb.SamplingParams: frozenset({
        "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
        "repetition_penalty", "max_tokens", "stop", "stop_token_ids", "ignore_eos", "n",
        "logprobs", "seed", "logit_bias", "include_stop_str_in_output", "min_tokens",
        "truncate_prompt_tokens",
        "json_schema", "regex", "grammar", "structural_tag", "json_object", "choice",
    }),
    pb.ChoiceConstraint: frozenset({"choices"}),
    pb.EmbedRequest: frozenset({"tokenized"}),
    pb.GetLoadsRequest: frozenset(),
    common.SubscribeKvEventsRequest: frozenset({"start_sequence_number"}),
}  # fmt: skip


def check(message: Message) -> None:
    """Raises InvalidRequest for a field that asks for what is not here; messages inside of this one
    are checked by themselves."""
    kind = type(message)
    for field, value in message.ListFields():
        if field.name not in READ[kind] and (why := refusal(field.name, value, NOT_READ[kind])):
            raise InvalidRequest(why, param=field.name)
