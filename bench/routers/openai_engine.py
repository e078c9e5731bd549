"""The same engine behind OpenAI's HTTP API, for routers that know nothing of ours.

    python -m routers.openai_engine MODEL STEP_MS

Says its address, and ends with its input.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop
from aiohttp import web

PIECE = " tok"


def body(model: str, kind: str, choice: dict[str, Any], **more: Any) -> bytes:
    head = {"id": "mock-1", "object": kind, "created": 0, "model": model}
    return json.dumps({**head, "choices": [{"index": 0, **choice}], **more}).encode()


def event(model: str, choice: dict[str, Any]) -> bytes:
    return b"data: " + body(model, "chat.completion.chunk", choice) + b"\n\n"


class Engine:
    """Answers of exactly `max_tokens` tokens, one a chunk when streamed."""

    def __init__(self, model: str, step_s: float) -> None:
        self._model, self._step_s = model, step_s
        self._token = event(model, {"delta": {"content": PIECE}, "finish_reason": None})
        self._last = event(model, {"delta": {}, "finish_reason": "length"}) + b"data: [DONE]\n\n"

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        count = int(asked.get("max_completion_tokens") or asked["max_tokens"])
        if asked.get("stream"):
            return await self._stream(request, count)
        if self._step_s:
            await asyncio.sleep(self._step_s * count)
        usage = {"prompt_tokens": 8, "completion_tokens": count, "total_tokens": count + 8}
        message = {"role": "assistant", "content": PIECE * count}
        choice = {"message": message, "finish_reason": "length"}
        answer = body(self._model, "chat.completion", choice, usage=usage)
        return web.Response(body=answer, content_type="application/json")

    async def _stream(self, request: web.Request, count: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(count):
            due += self._step_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            await response.write(self._token)
        await response.write(self._last)
        await response.write_eof()
        return response

    async def models(self, _: web.Request) -> web.Response:
        card = {"id": self._model, "object": "model", "created": 0, "owned_by": "mock"}
        return web.json_response({"object": "list", "data": [card]})

    async def info(self, _: web.Request) -> web.Response:
        """What sglang-router asks a worker for."""
        return web.json_response({
            "model_path": self._model, "served_model_name": self._model, "is_generation": True,
            "tokenizer_path": self._model, "version": "mock",
        })  # fmt: skip

    async def healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="OK")


def application(engine: Engine) -> web.Application:
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", engine.chat)
    app.router.add_get("/v1/models", engine.models)
    for path in ("/health", "/health_generate"):
        app.router.add_get(path, engine.healthy)
    for path in ("/get_model_info", "/model_info", "/get_server_info", "/server_info"):
        app.router.add_get(path, engine.info)
    return app


async def main(model: str, step_ms: str) -> None:
    runner = web.AppRunner(application(Engine(model, float(step_ms) / 1e3)), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
