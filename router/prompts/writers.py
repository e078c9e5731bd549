"""The calls of OpenAI's APIs, each with what writes its answer."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from raylax.proto.answers.embedding import EmbeddingWriter
from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.answers.openai_response import ResponseWriter
from raylax.proto.answers.writer import AnswerWriter
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.responses.conversation import needed_by
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.responses.response import PREFIX
from raylax.proto.openai.shared import CommonFields
from raylax.router.prompts.call_maker import CallMaker


async def chat_writer(make: CallMaker, body: ChatCompletionRequest) -> ChatWriter:
    call = await make.chat(body)
    return ChatWriter(call, make.model, int(time.time()), body.include_usage, body.counts_on)


async def completion_writer(make: CallMaker, body: CompletionRequest) -> CompletionWriter:
    call = await make.completion(body)
    return CompletionWriter(call, make.model, int(time.time()), body.include_usage, body.counts_on)


async def unkept_response_writer(make: CallMaker, body: ResponsesRequest) -> ResponseWriter:
    """For who is not there any more when the answer comes. Raises InvalidRequest for what goes on
    from a response that is kept: that may be gone by then."""
    if needed_by(body):
        raise InvalidRequest(
            "previous_response_id: is not for lines of a batch, nor is an item of another response",
            param="previous_response_id",
        )
    call = await make.chat(body.for_chat(), PREFIX, field="input")
    unkept = body.model_copy(update={"store": False})
    return ResponseWriter(call, unkept, make.model, int(time.time()))


async def embedding_writer(make: CallMaker, body: EmbeddingRequest) -> EmbeddingWriter:
    return EmbeddingWriter(await make.embedding(body), make.model, body.encoding_format)


@dataclass(frozen=True, slots=True)
class Api:
    """One endpoint: what its bodies are, and its way from a body to what writes the answer."""

    kind: type[CommonFields] | type[EmbeddingRequest]
    write: Callable[[CallMaker, Any], Awaitable[AnswerWriter]]


APIS = {
    "/v1/chat/completions": Api(ChatCompletionRequest, chat_writer),
    "/v1/completions": Api(CompletionRequest, completion_writer),
    "/v1/embeddings": Api(EmbeddingRequest, embedding_writer),
    "/v1/responses": Api(ResponsesRequest, unkept_response_writer),
}
"""By path. Those of which a batch can be made."""
