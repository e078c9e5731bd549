"""The engine as a Python class, without Ray: MLCEngine, AsyncMLCEngine and what they share."""

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Literal, Self, TypeVar

from raylax.proto.frontend import Frontend
from raylax.proto.vocabulary import Load
from raylax.worker.completions import AsyncChat, AsyncCompletions, Chat, Completions
from raylax.worker.config import EngineConfig, Mode, check_agreement
from raylax.worker.device import detect_device
from raylax.worker.engine import ThreadedEngine
from raylax.worker.errors import ConfigError, EngineStartError
from raylax.worker.rank import START_ERRORS
from raylax.worker.resolve import resolve_model
from raylax.worker.state import EngineState
from raylax.worker.trace import TraceRecorder

Kind = Literal["async", "sync"]
Made = TypeVar("Made")


@contextmanager
def starting(step: str) -> Any:
    """A failure inside reaches the caller with the name of the step."""
    try:
        yield
    except ConfigError:
        raise
    except (*START_ERRORS, OSError, KeyError, ValueError) as error:
        raise EngineStartError(f"{step}: {error}") from error


class MLCEngineBase:
    """Ten steps from arguments to a running engine; a failure in any ends the ones before."""

    def __init__(
        self,
        kind: Kind,
        model: str,
        device: str = "auto",
        model_lib: str | None = None,
        mode: Mode = "local",
        engine_config: EngineConfig | None = None,
        enable_tracing: bool = False,
    ) -> None:
        self.kind, self._threads = kind, list[threading.Thread]()
        config = engine_config or EngineConfig()
        check_agreement(config, model=model, model_lib=model_lib, mode=mode)
        with starting("model resolution"):
            checkpoint = resolve_model(model)
        self.device = detect_device(device)
        config = config.complete(model=str(checkpoint), model_lib=model_lib, mode=mode)
        self.state = EngineState(TraceRecorder() if enable_tracing else None)
        self._engine = ThreadedEngine()
        self._engine.init_threaded_engine(self.device, self.state.deliver, self.state.trace)
        self._start_threads()
        try:
            with starting("reload"):
                self._engine.reload(config)
            self.engine_config = EngineConfig.from_json(self._engine.get_complete_engine_config())
            self.max_input_sequence_length = min(
                self.engine_config.max_single_sequence_length or 0,
                self.engine_config.max_total_sequence_length or 0,
            )
            with starting("tokenizer and conversation template"):
                self.frontend = Frontend.load(checkpoint, model, self.max_input_sequence_length)
                text = (checkpoint / "config.json").read_text()
                self.model_config_dicts: list[dict[str, Any]] = [json.loads(text)]
        except BaseException:
            self.terminate()
            raise
        self.tokenizer, self.conv_template = self.frontend.tokenizer, self.frontend.template

    def _start_threads(self) -> None:
        loops: dict[str, Callable[[], None]] = {
            "engine": self._engine.run_background_loop,
            "stream-back": self._engine.run_background_stream_back_loop,
        }
        for name, loop in loops.items():
            thread = threading.Thread(target=loop, name=f"raylax-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def terminate(self) -> None:
        """End every request and both threads. Calling it again does nothing."""
        if self._threads:
            self._engine.exit_background_loop()
            for thread in self._threads:
                thread.join(timeout=10)
            self._threads = []

    def __del__(self) -> None:
        if getattr(self, "_threads", None):
            self._engine.exit_background_loop()

    def debug_call_func_on_all_worker(self, name: str, args: list[Any] | None = None) -> list[Any]:
        """Run a registered function on every rank; each rank's result or exception."""
        return self._engine.debug_call_func_on_all_worker(name, args or [])

    def _metrics(self) -> dict[str, float]:
        load: Load = self._engine.load()
        values = {name: float(getattr(load, name)) for name in Load.__dataclass_fields__}
        return {**values, "kv_usage": load.kv_usage, **self.state.timings()}


class MLCEngine(MLCEngineBase):
    """Synchronous: any number of threads may ask at once.

    >>> with MLCEngine("deploy/demo_model") as engine:
    ...     engine.chat.completions.create(messages=[{"role": "user", "content": "2 + 2"}])
    """

    def __init__(
        self,
        model: str,
        device: str = "auto",
        *,
        model_lib: str | None = None,
        mode: Mode = "local",
        engine_config: EngineConfig | None = None,
        enable_tracing: bool = False,
    ) -> None:
        super().__init__("sync", model, device, model_lib, mode, engine_config, enable_tracing)
        self.chat = Chat(self._engine, self.state, self.frontend)
        self.completions = Completions(self._engine, self.state, self.frontend)

    def abort(self, request_id: str) -> None:
        """End a call, by the id of its response, with finish_reason "abort"."""
        self.state.abort(self._engine, request_id)

    def reset(self) -> None:
        self._engine.reset()

    def metrics(self) -> dict[str, float]:
        return self._metrics()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()


class AsyncMLCEngine(MLCEngineBase):
    """For an event loop: calls are awaited, streams are asynchronous iterators."""

    def __init__(
        self,
        model: str,
        device: str = "auto",
        *,
        model_lib: str | None = None,
        mode: Mode = "local",
        engine_config: EngineConfig | None = None,
        enable_tracing: bool = False,
    ) -> None:
        super().__init__("async", model, device, model_lib, mode, engine_config, enable_tracing)
        self.chat = AsyncChat(self._engine, self.state, self.frontend)
        self.completions = AsyncCompletions(self._engine, self.state, self.frontend)

    async def abort(self, request_id: str) -> None:
        """End a call, by the id of its response, with finish_reason "abort"."""
        self.state.abort(self._engine, request_id)

    async def reset(self) -> None:
        self._engine.reset()

    async def metrics(self) -> dict[str, float]:
        return self._metrics()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.terminate()
