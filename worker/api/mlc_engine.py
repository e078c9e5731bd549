"""The engine as a Python class, without Ray: MLCEngine, AsyncMLCEngine and what they share."""

import asyncio
import os
import threading
import weakref
from typing import Any, Self, TypedDict, Unpack

from raylax.proto.wire import messages as wire
from raylax.worker.api.completions import (
    AsyncChat,
    AsyncCompletions,
    AsyncEmbeddings,
    Chat,
    Completions,
    Embeddings,
)
from raylax.worker.api.engine_state import EngineState, Kind
from raylax.worker.api.opening import Model, OpenedModel, load_model, open_model
from raylax.worker.config import ECHO, EngineConfig, Mode
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads
from raylax.worker.engine.trace import TraceRecorder

ANSWERED_BY: dict[Kind, tuple[Any, Any, Any]] = {
    "sync": (Chat, Completions, Embeddings),
    "async": (AsyncChat, AsyncCompletions, AsyncEmbeddings),
}
"""What an engine's `chat`, `completions` and `embeddings` are."""
CLOSE_S = 10.0


class EngineOptions(TypedDict, total=False):
    """What may be said of an engine beside its model and device."""

    model_lib: str | os.PathLike[str] | None
    mode: Mode
    engine_config: EngineConfig | None
    enable_tracing: bool


class MLCEngineBase:
    """Ten steps from arguments to a running engine; a failure in any ends the ones before.

    Afterwards there are `engine_config` (complete), `max_input_sequence_length`, `tokenizer`,
    `conv_template`, `model_config_dicts` and `state`, whose `trace` records events if asked to; and
    `chat`, `completions` and `embeddings`, which answer calls.
    """

    def __init__(
        self,
        kind: Kind,
        model: Model,
        device: object = "auto",
        model_lib: str | os.PathLike[str] | None = None,
        mode: Mode = "local",
        engine_config: EngineConfig | None = None,
        enable_tracing: bool = False,
    ) -> None:
        opened = open_model(model, device, model_lib, mode, engine_config)
        self.device, self.model_config_dicts = opened.device, opened.config_dicts
        self.state = EngineState(TraceRecorder() if enable_tracing else None)
        self._engine = ThreadedEngine()
        callback = self.state.request_stream_callback(kind)
        self._engine.init_threaded_engine(self.device, callback, self.state.trace)
        self._close = weakref.finalize(self, close, self._engine, start_threads(self._engine))
        self.engine_config = self._load(opened)
        self.frontend = opened.frontend_for(self.engine_config)
        self.max_input_sequence_length = self.frontend.max_sequence_length
        self.tokenizer = self.frontend.tokenizer
        self.conv_template = self.frontend.templates
        echoes = self.engine_config.model_lib == ECHO
        parts = self._engine, self.state, self.frontend, echoes
        chat, completions, embeddings = ANSWERED_BY[kind]
        self.chat: Chat | AsyncChat = chat(*parts)
        self.completions: Completions | AsyncCompletions = completions(*parts)
        self.embeddings: Embeddings | AsyncEmbeddings = embeddings(*parts)

    def _load(self, opened: OpenedModel) -> EngineConfig:
        """Load the model; the complete configuration. Nothing is left of an engine that cannot."""
        try:
            return load_model(self._engine, opened)
        except BaseException:
            self.terminate()
            raise

    def terminate(self) -> None:
        """End every request and both threads. Calling it again does nothing.

        An engine that is dropped, or alive when the program ends, is terminated as well.
        """
        self._close()

    @property
    def is_sleeping(self) -> bool:
        """Whether `sleep` has been called, and `wake_up` has not."""
        return self._engine.sleep_level > 0

    def debug_call_func_on_all_worker(
        self, name: str, args: list[Any] | str | None = None
    ) -> list[Any]:
        """Run a registered function on every rank; each rank's result, or the exception it raised.
        A text is one argument.

        "raylax.debug.rank" says who the rank is; `raylax.worker.ranks.debug.register` adds others.
        """
        return self._engine.debug_call_func_on_all_worker(name, args or [])

    def _metrics(self) -> dict[str, Any]:
        """Numbers of this moment, and sums since the start whose rates of change say more.

        - running, waiting: requests; queued_tokens: prompt tokens that wait for their prefill
        - pages_total, pages_free, pages_cached, pages_used: KV pages; kv_usage: share of them used
        - step, preemptions, prompt_tokens, cached_tokens, generated_tokens: sums
        - drafts, drafted_tokens, accepted_tokens: sums of what was proposed and verified
        - ttft_s_sum / ttft_count: mean seconds to a request's first token
        - itl_s_sum / itl_count: mean seconds between its later tokens

        And what MLC-LLM's engine tells, by its names: see `EngineMetrics.numbers`.
        """
        self._engine.process.check()
        load = self._engine.load()
        values = {name: float(getattr(load, name)) for name in wire.FIELDS}
        derived = {"pages_used": float(load.pages_used), "kv_usage": load.kv_usage}
        return {**values, **derived, **self.state.timings(), **self._engine.metrics()}


def close(engine: ThreadedEngine, threads: list[threading.Thread]) -> None:
    """Waits for the step that is running, unless the collector calls on one of these threads. In a
    forked child there is nothing to end: the engine is the parent's."""
    if not engine.process.here:
        return
    engine.exit_background_loop()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(timeout=CLOSE_S)


class MLCEngine(MLCEngineBase):
    """Synchronous: any number of threads may ask at once.

    >>> with MLCEngine("deploy/demo_model") as engine:
    ...     engine.chat.completions.create(messages=[{"role": "user", "content": "2 + 2"}])
    """

    chat: Chat
    completions: Completions
    embeddings: Embeddings

    def __init__(
        self, model: Model = None, device: object = "auto", **options: Unpack[EngineOptions]
    ) -> None:
        super().__init__("sync", model, device, **options)

    def abort(self, request_id: str) -> None:
        """End a call, by the id of its response, with finish_reason "abort"."""
        self.state.abort(self._engine, request_id)

    def reset(self) -> None:
        """Abort every call, forget every cached prefix, and count MLC-LLM's numbers anew."""
        self._engine.reset()

    def sleep(self, level: int = 1) -> None:
        """Give the model's memory back until `wake_up`: 1, that of weights, pages and workspace; 2,
        what the host keeps of its files, too. Calls that run are aborted, new ones refused."""
        self._engine.sleep(level)

    def wake_up(self) -> None:
        """Load the model again, of the same sizes; nothing if it is there."""
        self._engine.wake_up()

    def metrics(self) -> dict[str, Any]:
        """See `_metrics` for the keys."""
        return self._metrics()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()


class AsyncMLCEngine(MLCEngineBase):
    """For an event loop: calls are awaited, streams are asynchronous iterators."""

    chat: AsyncChat
    completions: AsyncCompletions
    embeddings: AsyncEmbeddings

    def __init__(
        self, model: Model = None, device: object = "auto", **options: Unpack[EngineOptions]
    ) -> None:
        super().__init__("async", model, device, **options)

    async def abort(self, request_id: str) -> None:
        """End a call, by the id of its response, with finish_reason "abort"."""
        self.state.abort(self._engine, request_id)

    async def reset(self) -> None:
        """Abort every call, forget every cached prefix, and count MLC-LLM's numbers anew."""
        await asyncio.to_thread(self._engine.reset)

    async def sleep(self, level: int = 1) -> None:
        """As `MLCEngine.sleep`."""
        await asyncio.to_thread(self._engine.sleep, level)

    async def wake_up(self) -> None:
        """As `MLCEngine.wake_up`."""
        await asyncio.to_thread(self._engine.wake_up)

    async def metrics(self) -> dict[str, Any]:
        """See `_metrics` for the keys."""
        return self._metrics()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.terminate)
