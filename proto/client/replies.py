"""From messages of raylax.v1 to the values that a client is given."""

from collections.abc import Sequence

from raylax.proto.client.values import (
    Answer,
    Choice,
    Embeddings,
    Model,
    Part,
    TokenLogprob,
    ToolCall,
    ToolCallPart,
    Usage,
)
from raylax.proto.pb import raylax_pb2 as pb
from raylax.proto.timeline import explanation_from_proto

Reply = pb.ChatReply | pb.GenerateReply


def part(reply: Reply) -> Part:
    """What one reply of a stream says."""
    calls = reply.tool_calls if isinstance(reply, pb.ChatReply) else ()
    explained = reply.HasField("explanation")
    return Part(
        id=reply.id,
        model=reply.model,
        choice=reply.choice,
        text=reply.text,
        reasoning=reply.reasoning if isinstance(reply, pb.ChatReply) else "",
        tool_calls=tuple(
            ToolCallPart(c.id, c.name, c.arguments_json, c.index, c.broken) for c in calls
        ),
        logprobs=tuple(map(token_logprob, reply.logprobs)),
        finish_reason=reply.finish_reason or None,
        usage=usage(reply.usage) if reply.HasField("usage") else None,
        sequence=reply.sequence,
        explanation=explanation_from_proto(reply.explanation) if explained else None,
        token_ids=tuple(reply.token_ids),
        prompt_logprobs=tuple(map(token_logprob, reply.prompt_logprobs)),
    )


def answer(parts: Sequence[Part]) -> Answer:
    """The whole answer. `parts` are all of it, in their order."""
    first, last = parts[0], parts[-1]
    assert last.usage is not None, "the last reply has the usage"
    count = max(one.choice for one in parts) + 1
    by_choice = [[one for one in parts if one.choice == index] for index in range(count)]
    return Answer(
        id=first.id,
        model=first.model,
        choices=tuple(map(choice, by_choice)),
        usage=last.usage,
        explanation=first.explanation,
        prompt_logprobs=last.prompt_logprobs,
    )


def choice(parts: Sequence[Part]) -> Choice:
    return Choice(
        text="".join("".join(c.broken for c in one.tool_calls) + one.text for one in parts),
        finish_reason=parts[-1].finish_reason or "",
        reasoning="".join(one.reasoning for one in parts),
        tool_calls=calls_of([call for one in parts for call in one.tool_calls]),
        logprobs=tuple(entry for one in parts for entry in one.logprobs),
        token_ids=tuple(id for one in parts for id in one.token_ids),
    )


def calls_of(told: Sequence[ToolCallPart]) -> tuple[ToolCall, ...]:
    """The whole calls of which so much was told."""
    by_index: dict[int, list[ToolCallPart]] = {}
    for one in told:
        by_index.setdefault(one.index, []).append(one)
    return tuple(
        ToolCall(parts[0].id, parts[0].name, "".join(one.arguments_json for one in parts))
        for parts in by_index.values()
        if not parts[-1].broken
    )


def token_logprob(entry: pb.TokenLogprob) -> TokenLogprob:
    top = tuple((one.token, one.logprob) for one in entry.top)
    return TokenLogprob(entry.token, entry.logprob, top)


def usage(message: pb.Usage) -> Usage:
    return Usage(
        message.prompt_tokens,
        message.completion_tokens,
        message.cached_tokens,
        message.reasoning_tokens,
    )


def embeddings(reply: pb.EmbedReply) -> Embeddings:
    vectors = tuple(tuple(one.values) for one in reply.embeddings)
    return Embeddings(reply.model, vectors, usage(reply.usage))


def models(reply: pb.ListModelsReply) -> list[Model]:
    return [Model(one.id, one.max_model_len) for one in reply.models]
