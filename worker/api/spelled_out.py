"""Chunks of a chat as programs in the same process read them."""

from raylax.proto.answers.openai_chunks import Chunk
from raylax.proto.openai.chat import ChatCompletionChunk


def spelled_out(chunk: Chunk) -> Chunk:
    """The same, with a role and a text in every delta, be it an empty one: programs for MLC-LLM
    print each without looking. Over HTTP that is not so: OpenAI's client adds roles up."""
    if isinstance(chunk, ChatCompletionChunk):
        for choice in chunk.choices:
            choice.delta.role = "assistant"
            choice.delta.content = choice.delta.content or ""
    return chunk
