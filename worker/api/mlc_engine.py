"""The engine as a Python class, without Ray: MLCEngine, AsyncMLCEngine and what they share."""

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self, TypedDict, Unpack

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.options import silent
from raylax.kernels.sources.fetch import fetch
from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
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
from raylax.worker.api.fetching import on_stderr
from raylax.worker.config import ECHO, EngineConfig, Mode, check_agreement, path_text
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import ConfigError, EngineStartError
from raylax.worker.hardware.devices import detect_device
from raylax.worker.hardware.machine import machine_for
from raylax.worker.ranks.loading import check_room

Model = str | os.PathLike[str] | None
"""A checkpoint's directory, a GGUF file, org/name of a hub or a short name; None: what
`engine_config` names. A device is anything whose text names one, as `tvm.Device`; None: auto."""
ANSWERED_BY: dict[Kind, tuple[Any, Any, Any]] = {
    "sync": (Chat, Completions, Embeddings),
    "async": (AsyncChat, AsyncCompletions, AsyncEmbeddings),
}
"""What an engine's `chat`, `completions` and `embeddings` are."""
CLOSE_S = 10.0
log = logging.getLogger(__name__)


@contextmanager
def starting(step: str, mistake: type[Exception] = ConfigError) -> Iterator[None]:
    """A failure inside reaches the caller with the name of the step; one of the
    caller's as ConfigError. `mistake`: what else is the caller's, in this step."""
    try:
        yield
    except (ConfigError, mistake) as error:
        raise ConfigError(f"{step}: {error}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise EngineStartError(f"{step}: {reason}") from error


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
        with starting("config check"):
            config = engine_config or EngineConfig()
            library = path_text("model_lib", model_lib)
            named = path_text("model", model)
            check_agreement(config, model=named, model_lib=library, mode=mode)
            if (model := named or config.model) is None:
                raise ConfigError("model must be given, or engine_config.model; found neither")
        with starting("device detection"):
            self.device = detect_device(device)
        with starting("model resolution", CheckpointError):
            checkpoint, *drafts = (
                fetch(one, lambda: machine_for(self.device), on_stderr()).path
                for one in (model, *config.additional_models)
            )
            config = config.complete(additional_models=tuple(map(str, drafts)))
        with starting("model config"):
            echoes = ECHO in (library, config.model_lib)
            opened = open_checkpoint(checkpoint, weights=not echoes)
            self.model_config_dicts: list[dict[str, Any]] = [opened.config]
            files = TextFiles(opened.text)
        with starting("tokenizer and conversation template"):
            frontend = Frontend.load(files, model, max_sequence_length=0)
        self.state = EngineState(TraceRecorder() if enable_tracing else None)
        self._engine = ThreadedEngine()
        callback = self.state.request_stream_callback(kind)
        self._engine.init_threaded_engine(self.device, callback, self.state.trace)
        self._close = weakref.finalize(self, close, self._engine, start_threads(self._engine))
        library = library or config.model_lib
        whole = config.complete(model=str(checkpoint), model_lib=library, mode=mode)
        self.engine_config = self._load(whole)
        self.max_input_sequence_length = min(
            self.engine_config.max_single_sequence_length or 0,
            self.engine_config.max_total_sequence_length or 0,
        )
        self.frontend = replace(frontend, max_sequence_length=self.max_input_sequence_length)
        self.tokenizer, self.conv_template = frontend.tokenizer, frontend.templates
        parts = self._engine, self.state, self.frontend
        chat, completions, embeddings = ANSWERED_BY[kind]
        self.chat: Chat | AsyncChat = chat(*parts)
        self.completions: Completions | AsyncCompletions = completions(*parts)
        self.embeddings: Embeddings | AsyncEmbeddings = embeddings(*parts)

    def _load(self, config: EngineConfig) -> EngineConfig:
        """Load the model; the complete configuration. Nothing is left of an engine that cannot."""
        try:
            with starting("reload"):
                if config.model_lib != ECHO:
                    check_room(config, self.device)
                self._engine.reload(config, log_progress if config.verbose else silent)
                return EngineConfig.from_json(self._engine.get_complete_engine_config())
        except BaseException:
            self.terminate()
            raise

    def terminate(self) -> None:
        """End every request and both threads. Calling it again does nothing.

        An engine that is dropped, or alive when the program ends, is terminated as well.
        """
        self._close()

    def debug_call_func_on_all_worker(self, name: str, args: list[Any] | None = None) -> list[Any]:
        """Run a registered function on every rank; each rank's result, or the exception it raised.

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


def log_progress(stage: str, fraction: float) -> None:
    """A `ProgressCallback` for engines that are verbose."""
    log.info("%s %.0f%%", stage, 100 * fraction)


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

    async def metrics(self) -> dict[str, float]:
        """See `_metrics` for the keys."""
        return self._metrics()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.terminate)
