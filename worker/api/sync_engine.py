"""SyncMLCEngine: an engine without threads, whose steps its caller makes.

For tests and for programs that have a loop of their own: each `step` is one batch of the model, and
what it came to is told before it returns.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, Self

from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.vocabulary import Delta, Load
from raylax.proto.wire import messages as wire
from raylax.worker.api.completions import origin_of
from raylax.worker.api.generation import GenerationConfig, Prompt, several
from raylax.worker.api.opening import Model, load_model, open_model
from raylax.worker.api.stream_outputs import (
    NOTHING,
    RequestStreamOutput,
    RunningCall,
    StreamCallback,
    as_json,
)
from raylax.worker.config import EngineConfig, Mode
from raylax.worker.engine.stepped_engine import SteppedEngine
from raylax.worker.engine.trace import TraceRecorder


class SyncMLCEngine:
    """Requests are added and steps are made by one thread. Afterwards there are `engine_config`
    (complete), `max_input_sequence_length`, `tokenizer`, `conv_template` and `model_config_dicts`,
    as on the other engines.

    >>> with SyncMLCEngine("deploy/demo_model") as engine:
    ...     texts, _ = engine.generate("What is 2 + 2?", GenerationConfig(max_tokens=8))
    """

    def __init__(
        self,
        model: Model = None,
        device: object = "auto",
        *,
        model_lib: str | os.PathLike[str] | None = None,
        mode: Mode = "local",
        engine_config: EngineConfig | None = None,
        enable_tracing: bool = False,
        request_stream_callback: StreamCallback | None = None,
    ) -> None:
        opened = open_model(model, device, model_lib, mode, engine_config)
        self.device, self.model_config_dicts = opened.device, opened.config_dicts
        self.trace = TraceRecorder() if enable_tracing else None
        self._callback = request_stream_callback
        self._running: dict[str, RunningCall] = {}
        self._call_of: dict[str, str] = {}  # of each request
        self._engine = SteppedEngine()
        self._engine.init_threaded_engine(self.device, self._told, self.trace)
        try:
            self.engine_config = load_model(self._engine, opened)
        except BaseException:
            self.terminate()
            raise
        self.frontend = opened.frontend_for(self.engine_config)
        self.max_input_sequence_length = self.frontend.max_sequence_length
        self.tokenizer, self.conv_template = self.frontend.tokenizer, self.frontend.templates

    def get_request_stream_callback(self) -> StreamCallback | None:
        """Who is told what a step has brought."""
        return self._callback

    def set_request_stream_callback(self, callback: StreamCallback | None) -> None:
        """Tell somebody else from now on; None: nobody."""
        self._callback = callback

    def create_request(
        self, request_id: str, inputs: Prompt, generation_config: GenerationConfig | None = None
    ) -> Call:
        """A request for `add_request`. Raises InvalidRequest for what the model cannot be asked."""
        config = GenerationConfig() if generation_config is None else generation_config
        if not isinstance(config, GenerationConfig):
            raise InvalidRequest(
                f"generation_config: must be a GenerationConfig, found {shown(config)}"
            )
        return self.frontend.completion(config.body(inputs), origin_of(request_id))

    def add_request(self, request: Call) -> None:
        """Let it wait for the next steps. Raises RaylaxError for one that is not accepted: of an
        id that runs already, or while too many wait, or which has been answered."""
        if not isinstance(request, Call) or request.done:
            raise InvalidRequest(
                "add_request: needs what create_request has made, and nobody has answered; found "
                + (
                    f"{request.id!r}, which has ended"
                    if isinstance(request, Call)
                    else shown(request)
                )
            )
        if request.id in self._running:
            raise InvalidRequest(f"request id {request.id} is already running")
        self._running[request.id] = RunningCall(request)
        self._call_of.update({one.id: request.id for one in request.requests})
        try:
            for one in request.requests:
                self._engine.add_request(one)
        except BaseException:
            self._forget(request.id)
            raise

    def abort_request(self, request_id: str) -> None:
        """End it with `abort`, which the next step tells; an unknown id is no error."""
        if (running := self._running.get(request_id)) is not None:
            for one in running.call.open:
                self._engine.abort_request(one)

    @property
    def running(self) -> list[str]:
        """Ids of the requests that have not ended."""
        return list(self._running)

    def step(self) -> None:
        """One batch of the model, if anybody wants to be in it; the callback then hears what it has
        brought. Raises EngineNotReady when the engine has ended."""
        self._engine.step()

    def reset(self) -> None:
        """Abort every request, forget every cached prefix, and begin to count anew."""
        self._engine.reset()
        self._engine.step()

    def sleep(self, level: int = 1) -> None:
        """As `MLCEngine.sleep`."""
        self._engine.sleep(level)
        self._engine.step()

    def wake_up(self) -> None:
        """As `MLCEngine.wake_up`."""
        self._engine.wake_up()

    def metrics(self) -> dict[str, Any]:
        """As `MLCEngine.metrics`, but for times that somebody waits for tokens."""
        load = self._engine.load()
        values = {name: float(getattr(load, name)) for name in wire.FIELDS}
        derived = {"pages_used": float(load.pages_used), "kv_usage": load.kv_usage}
        return {**values, **derived, **self._engine.metrics()}

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        generation_config: GenerationConfig | Sequence[GenerationConfig] | None = None,
    ) -> tuple[list[list[str]], list[list[list[str] | None]]]:
        """Continue prompts, together: of each the texts of its choices, and their log-probabilities
        as JSON, one for each token, or None. Nobody else may run meanwhile."""
        if self._running:
            raise InvalidRequest(f"generate: {len(self._running)} requests are running")
        told = several(prompts)
        configs = generation_config
        if not isinstance(configs, Sequence):
            configs = [configs or GenerationConfig()] * len(told)
        if len(configs) != len(told):
            raise InvalidRequest(f"generate: {len(configs)} configs for {len(told)} prompts")
        callback, self._callback = self._callback, None
        try:
            pairs = zip(told, configs, strict=True)
            calls = [self.create_request(str(at), *pair) for at, pair in enumerate(pairs)]
            for call in calls:
                self.add_request(call)
            while self._running:
                self.step()
            ended = [call.ended_parts(Choice) for call in calls]
        finally:
            self._callback = callback
            for id in self.running:
                self.abort_request(id)
        return (
            [[choice.text for choice in choices] for choices in ended],
            [[as_json(choice.logprob_entries) for choice in choices] for choices in ended],
        )

    def debug_call_func_on_all_worker(
        self, name: str, args: list[Any] | str | None = None
    ) -> list[Any]:
        """As `MLCEngine.debug_call_func_on_all_worker`."""
        return self._engine.debug_call_func_on_all_worker(name, args or [])

    def terminate(self) -> None:
        """End every request, and free what the model has. Calling it again does nothing."""
        self._engine.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def _told(self, deltas: list[Delta], load: Load) -> None:
        """What the engine has to say after a step, or a command."""
        heard = dict[str, RunningCall]()
        for delta in deltas:
            if (id := self._call_of.get(delta.request_id)) is not None:
                heard[id] = running = self._running[id]
                if running.take(delta):
                    self._engine.abort_request(delta.request_id)
        outputs = list[RequestStreamOutput]()
        for id, running in heard.items():
            if any(brought := running.outputs()) and any(one != NOTHING for one in brought):
                outputs.append(RequestStreamOutput(id, brought))
            if running.call.done:
                self._forget(id)
                usage = json.dumps(running.call.usage.model_dump(mode="json"))
                last = NOTHING._replace(request_final_usage_json_str=usage)
                outputs.append(RequestStreamOutput(id, [last]))
        if outputs and self._callback is not None:
            self._callback(outputs)

    def _forget(self, request_id: str) -> None:
        call = self._running.pop(request_id).call
        for one in call.open:  # an error of one of its choices has ended it
            self._engine.abort_request(one)
        for request in call.requests:
            self._call_of.pop(request.id, None)
