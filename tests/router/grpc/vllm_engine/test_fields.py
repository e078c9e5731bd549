"""Every field of gateways' requests is read, or a table says why it is not."""

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.field_rules import Refused
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.grpc.vllm_engine.fields import NOT_READ, READ, check
from raylax.router.grpc.vllm_engine.requests import generate_request

ALL_READ = {"AbortRequest", "FlushCacheRequest"}
UNIMPLEMENTED = {"StartProfileRequest", "StopProfileRequest"}
SAMPLE: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.5, "top_k": 3, "min_p": 0.5, "frequency_penalty": 0.5,
    "presence_penalty": 0.5, "repetition_penalty": 0.5, "max_tokens": 3, "stop": ["a"],
    "stop_token_ids": [3], "ignore_eos": True, "n": 3, "logprobs": 3, "seed": 3,
    "logit_bias": {3: 0.5}, "min_tokens": 3, "truncate_prompt_tokens": 3,
    "json_schema": "{}", "regex": "a",
    "grammar": 'root ::= "a"', "json_object": True, "choice": pb.ChoiceConstraint(choices=["a"]),
    "structural_tag": '{"triggers": ["<"], "structures": [{"begin": "<f>", "end": "</f>"}]}',
}  # fmt: skip
NAMED = {"choice": "guided_choice", "json_object": "guided_json_object"}
"""Fields that a completion has by another name."""
COMBINED = {"include_stop_str_in_output"}  # it matters beside another one


def asked(kinds: list[Descriptor]) -> dict[str, Descriptor]:
    """The messages and all inside of them that is read."""
    found: dict[str, Descriptor] = {}
    while kinds:
        kind = kinds.pop()
        found[kind.name] = kind
        read = READ.get(GetMessageClass(kind), frozenset())
        kinds += [
            field.message_type
            for field in kind.fields
            if field.message_type
            and field.name in read
            and not field.message_type.GetOptions().map_entry
        ]
    return found


REQUESTS = asked(
    [m.input_type for m in pb.DESCRIPTOR.services_by_name["VllmEngine"].methods if m.input_type]
)
UNREAD = [
    (kind, field)
    for kind in NOT_READ
    for field in kind.DESCRIPTOR.fields
    if field.name in NOT_READ[kind]
]


@pytest.mark.parametrize("name", sorted(REQUESTS.keys() - ALL_READ - UNIMPLEMENTED))
def test_every_field_is_in_one_of_the_tables(name: str) -> None:
    kind = GetMessageClass(REQUESTS[name])
    names = {field.name for field in REQUESTS[name].fields}
    read, told = READ.get(kind, frozenset()), NOT_READ.get(kind, {}).keys()

    assert names == read | told
    assert not read & told


def given(kind: type[Message], field: FieldDescriptor) -> Message:
    """A message with some value of the field."""
    message = kind()
    if field.is_repeated and field.message_type:
        getattr(message, field.name).add()
    elif field.is_repeated:
        getattr(message, field.name).append("x")
    elif field.message_type:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, type(field.default_value)(True))
    return message


@pytest.mark.parametrize(("kind", "field"), UNREAD, ids=lambda one: str(getattr(one, "name", "")))
def test_what_is_not_read_is_harmless_or_refused_with_the_remedy(
    kind: type[Message], field: FieldDescriptor
) -> None:
    rule, message = NOT_READ[kind][field.name], given(kind, field)

    if not isinstance(rule, Refused):
        check(message)
        return
    with pytest.raises(InvalidRequest) as caught:
        check(message)
    assert caught.value.message.startswith(f"{field.name}: {rule.why}, found ")
    assert caught.value.param == field.name
    for value in rule.but:
        if type(value) is type(field.default_value):
            check(kind(**{field.name: value}))


@pytest.mark.parametrize("name", sorted(READ[pb.SamplingParams] - COMBINED))
def test_what_is_read_makes_another_request(name: str) -> None:
    def made(**fields: Any) -> dict[str, Any]:
        sampling = pb.SamplingParams(**fields)
        return generate_request(pb.GenerateRequest(text="a", sampling_params=sampling)).model_dump()

    plain, other = made(), made(**{name: SAMPLE[name]})

    assert [key for key in plain if plain[key] != other[key]] == [NAMED.get(name, name)]


def test_the_token_that_ends_an_answer_cannot_be_included() -> None:
    """A stop string's tokens always are: whoever makes the text cuts it, or does not."""
    include = pb.SamplingParams(include_stop_str_in_output=True, stop=["a"])
    generate_request(pb.GenerateRequest(text="a", sampling_params=include))
    include.stop_token_ids.append(5)

    with pytest.raises(InvalidRequest, match="include_stop_str_in_output: the tokens of a stop"):
        generate_request(pb.GenerateRequest(text="a", sampling_params=include))


@pytest.mark.parametrize(("kind", "field"), UNREAD, ids=lambda one: str(getattr(one, "name", "")))
def test_requests_are_checked(kind: type[Message], field: FieldDescriptor) -> None:
    """Their sampling included."""
    request = pb.GenerateRequest(text="a")
    if kind is pb.GenerateRequest:
        request.MergeFromString(given(kind, field).SerializeToString())
    elif kind is pb.SamplingParams:
        request.sampling_params.MergeFromString(given(kind, field).SerializeToString())
    if kind in (pb.GenerateRequest, pb.SamplingParams) and isinstance(
        NOT_READ[kind][field.name], Refused
    ):
        with pytest.raises(InvalidRequest, match=f"^{field.name}: "):
            generate_request(request)
    else:
        generate_request(request)
