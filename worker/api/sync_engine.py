"""SyncMLCEngine: an engine without threads, whose steps its caller makes.

For tests and for programs that have a loop of their own: each `step` is one batch of the model, and
what it came to is told before it returns.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent, TextLogprob
from raylax.proto.errors import InvalidRequest, RaylaxError
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.shared import validated
from raylax.proto.vocabulary import CallOrigin, Delta, Finish, Load
from raylax.proto.wire import messages as wire
from raylax.worker.api.opening import Model, load_model, open_model
from raylax.worker.config import EngineConfig, Mode
from raylax.worker.engine.stepped_engine import SteppedEngine
from raylax.worker.engine.trace import TraceRecorder

Prompt = str | Sequence[int]


@dataclass(frozen=True)
class GenerationConfig:
    """How a prompt is continued, by the fields of /v1/completions; None: as the model's files say,
    and of `max_tokens`, as long as a sequence may be."""

    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    """How many of the likeliest tokens are told beside each; None: nothing."""
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False

    def body(self, prompt: Prompt) -> CompletionRequest:
        """The same as a request. Raises InvalidRequest with the field that is wrong."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        told = prompt if isinstance(prompt, str) else list(prompt)
        return validated(CompletionRequest, {"prompt": told, **given})


class SingleRequestStreamOutput(NamedTuple):
    """What a step has brought of one choice."""

    delta_token_ids: list[int]
    delta_text: str = ""
    """Of these tokens and earlier ones, as far as it is certain."""
    delta_logprob_json_strs: list[str] | None = None
    finish_reason: str | None = None
    request_final_usage_json_str: str | None = None


class RequestStreamOutput(NamedTuple):
    """What a step has brought of a request: one output for each choice, or at its end the usage."""

    request_id: str
    outputs: list[SingleRequestStreamOutput]

    def unpack(self) -> tuple[str, list[SingleRequestStreamOutput]]:
        """Id and outputs."""
        return self.request_id, self.outputs


StreamCallback = Callable[[list[RequestStreamOutput]], None]
NOTHING = SingleRequestStreamOutput([])


@dataclass
class RunningCall:
    """A call, and what the step that is being told has brought of its choices."""

    call: Call
    brought: dict[int, SingleRequestStreamOutput] = field(default_factory=dict)

    def outputs(self) -> list[SingleRequestStreamOutput]:
        """Of all choices; then there is nothing any more."""
        brought, self.brought = self.brought, {}
        return [brought.get(index, NOTHING) for index in range(len(self.call.requests))]


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
        body = (generation_config or GenerationConfig()).body(inputs)
        return self.frontend.completion(body, CallOrigin(name=request_id))

    def add_request(self, request: Call) -> None:
        """Let it wait for the next steps. Raises RaylaxError for one that is not accepted: of an
        id that runs already, or while too many wait."""
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
        if configs is None or isinstance(configs, GenerationConfig):
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

    def debug_call_func_on_all_worker(self, name: str, args: list[Any] | None = None) -> list[Any]:
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
                self._feed(running, delta)
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

    def _feed(self, running: RunningCall, delta: Delta) -> None:
        index = [one.id for one in running.call.requests].index(delta.request_id)
        before = running.brought.get(index, NOTHING)
        if before.finish_reason is not None:
            return
        try:
            event, cancel = running.call.feed(delta)
        except RaylaxError:
            event, cancel = TextEvent(index, finish_reason=Finish.ERROR), False
        if cancel:
            self._engine.abort_request(delta.request_id)
        text, entries, reason = ("", (), None) if event is None else event_parts(event)
        logprobs = [*(before.delta_logprob_json_strs or ()), *(as_json(entries) or ())]
        running.brought[index] = SingleRequestStreamOutput(
            [*before.delta_token_ids, *delta.token_ids],
            before.delta_text + text,
            logprobs or None,
            reason,
        )

    def _forget(self, request_id: str) -> None:
        call = self._running.pop(request_id).call
        for one in call.open:  # an error of one of its choices has ended it
            self._engine.abort_request(one)
        for request in call.requests:
            self._call_of.pop(request.id, None)


def event_parts(event: TextEvent) -> tuple[str, tuple[TextLogprob, ...], str | None]:
    """Text, log-probabilities, and why the choice has ended."""
    return event.text, event.logprobs, event.finish_reason


def several(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """One prompt, as a text or as ids, or several of them, as a list."""
    if isinstance(prompts, str):
        return [prompts]
    if all(isinstance(one, int) for one in prompts):
        return [list(prompts)]  # type: ignore[arg-type]
    return list(prompts)  # type: ignore[arg-type]


def as_json(entries: Iterable[TextLogprob]) -> list[str] | None:
    """Each token with its log-probability, as chat completions have it; None if there are none."""
    shown = [
        {
            **told_of(entry.token, entry.logprob),
            "top_logprobs": [told_of(token, logprob) for token, logprob in entry.top],
        }
        for entry in entries
    ]
    return [json.dumps(one) for one in shown] or None


def told_of(token: bytes, logprob: float) -> dict[str, Any]:
    """A token, its log-probability and its bytes."""
    return {
        "token": token.decode("utf-8", "replace"),
        "logprob": logprob,
        "bytes": list(token),
    }
