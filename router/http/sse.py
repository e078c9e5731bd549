"""A call as server-sent events, as OpenAI streams it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator

from raylax.proto.call import Call
from raylax.proto.errors import EngineFailure, RaylaxError
from raylax.proto.events import TextEvent

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def data(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


async def event_stream(call: Call, events: AsyncGenerator[TextEvent]) -> AsyncIterator[bytes]:
    """Headers are out already when this runs: an error is an event, then the stream ends."""
    try:
        async for event in events:
            yield b"".join(data(chunk.model_dump_json()) for chunk in call.chunks(event))
        for chunk in call.last_chunks():
            yield data(chunk.model_dump_json())
    except RaylaxError as error:
        yield data(json.dumps(error.body()))
    except Exception:
        yield data(json.dumps(EngineFailure("the router failed; its log says why").body()))
        raise
    finally:
        await events.aclose()  # cancels what still runs
    yield data("[DONE]")
