"""Everything between API objects and token ids, for one model."""

import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from llguidance import LLTokenizer

from raylax.proto.calls.call import Call, Operation
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.prompt_ids import PromptIds, check_scored_size
from raylax.proto.calls.prompt_maker import PromptMaker
from raylax.proto.calls.prompt_work import ChatWork, TextsWork
from raylax.proto.calls.request_maker import RequestMaker
from raylax.proto.calls.sampling_defaults import SamplingDefaults
from raylax.proto.calls.token_choice import TokenChoice
from raylax.proto.calls.vector import Vector
from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.checking import checked_grammar
from raylax.proto.grammar.tokens import grammar_tokenizer
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.parsers.tools import TOOL_PARSERS
from raylax.proto.parsers.tools.offered import CallIds, OfferedTools
from raylax.proto.text.chat_template import ChatTemplates
from raylax.proto.text.files import FORMAT, GENERATION, TextFiles
from raylax.proto.text.stop_strings import StopStrings
from raylax.proto.text.template_files import TOKENIZER_CONFIG
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import CallOrigin, Request

CHAT_PREFIX = "chatcmpl-"
NOBODY = CallOrigin()
"""The origin of a call that reached no router."""
NO_TOOLS: Mapping[str, Mapping[str, Any]] = {}
TOOL_FORMAT = "hermes"
"""How models write their tool calls, one of `TOOL_PARSERS`, where their files do not say."""


@dataclass(frozen=True)
class Frontend:
    """The text side of one model: what it may be asked, and how its answers are read."""

    name: str
    files: TextFiles
    tokenizer: Tokenizer
    templates: ChatTemplates
    end_token_ids: frozenset[int]
    defaults: SamplingDefaults
    vocab: int
    hidden: int
    """Dimensions of an embedding."""
    no_embeddings: str | None
    """Why its vectors would not be those that its files mean; None: they are."""
    max_sequence_length: int
    rng: random.Random
    """Draws the seeds of requests that bring none."""
    tool_format: str = TOOL_FORMAT
    """One of `TOOL_PARSERS`."""
    tools_must_show: bool = False
    """Whether tools are refused that the chat template does not show. Whoever has the model at hand
    may have told it of them otherwise, and is only warned."""

    @classmethod
    def load(
        cls,
        files: TextFiles,
        name: str,
        max_sequence_length: int,
        rng: random.Random | None = None,
    ) -> "Frontend":
        """`max_sequence_length`: tokens of prompt and answer together. Raises OSError, ValueError
        or KeyError for files that cannot be read, or say too little."""
        tokenizer, defaults = files.tokenizer(), defaults_of(files)
        return cls(
            name,
            files,
            tokenizer,
            files.chat_templates(),
            ends_of(files, tokenizer, defaults),
            defaults,
            int(files.config["vocab_size"]),
            int(files.config["hidden_size"]),
            files.why_no_embeddings(),
            max_sequence_length,
            rng or random.Random(),
            format_of(files),
        )

    @property
    def prompt_ids(self) -> PromptIds:
        """Which ids a prompt may have, for this model."""
        return PromptIds(self.vocab, self.max_sequence_length)

    @property
    def prompts(self) -> PromptMaker:
        """Makes prompts at once, here: for whoever trusts the model's files."""
        return PromptMaker(self.name, self.tokenizer, self.templates)

    @property
    def requests(self) -> RequestMaker:
        """Makes the requests of calls, for this model."""
        encode = partial(self.tokenizer.encode, add_special_tokens=False)
        return RequestMaker(self.prompt_ids, self.defaults, self.end_token_ids, self.rng, encode)

    def chat(
        self,
        body: ChatCompletionRequest,
        prefix: str = CHAT_PREFIX,
        field: str = "messages",
        origin: CallOrigin = NOBODY,
    ) -> Call:
        """The call of a chat request, whose prompt is made here. An API whose bodies become chat
        requests has a prefix of its own for ids, and a field in which the messages were.

        Raises InvalidRequest for what this model cannot be asked.
        """
        ids = self.prompts.chat_ids(self.chat_work(body, field))
        return self.chat_call(body, ids, prefix, field, origin, checked_grammar(body.constraint))

    def prompt_of(self, body: ChatCompletionRequest, field: str = "messages") -> str:
        """The text of the prompt that the model's chat template makes of the messages."""
        return self.prompts.prompt(self.chat_work(body, field)).text

    def tokens_of(self, body: ChatCompletionRequest) -> list[int]:
        """The token ids of the prompt, however long it is."""
        return self.prompts.chat_ids(self.chat_work(body, bounded=False))

    def chat_work(
        self, body: ChatCompletionRequest, field: str = "messages", bounded: bool = True
    ) -> ChatWork:
        """What is to be done for the prompt of a chat. `bounded`: it must leave room for an
        answer."""
        return ChatWork(
            [message.for_template() for message in body.messages],
            [tool.for_template() for tool in body.offered],
            body.documents or [],
            body.chat_template,
            body.told,
            body.begins_a_turn,
            body.continue_final_message,
            body.special_tokens_in_content,
            bool(body.add_special_tokens),
            self.tools_must_show,
            field,
            self.max_sequence_length if bounded else None,
        )

    def chat_call(
        self,
        body: ChatCompletionRequest,
        ids: Sequence[int],
        prefix: str = CHAT_PREFIX,
        field: str = "messages",
        origin: CallOrigin = NOBODY,
        grammar: str = "",
    ) -> Call:
        """The call of a chat request with this prompt, whose answer is in a grammar, if there is
        one. Raises InvalidRequest."""
        call_id = origin.name or f"{prefix}{uuid.uuid4().hex}"
        top = (body.top_logprobs or 0) if body.logprobs else None
        most = body.max_completion_tokens or body.max_tokens
        requests = self.requests.drawn(call_id, [ids], body, top, most, field, origin, grammar)
        schemas = {tool.function.name: tool.function.parameters for tool in body.offered}
        choices = self._choices(
            call_id, requests, body, "chat", schemas, not body.parallel_tool_calls
        )
        call = Call(call_id, requests, choices, "chat")
        call.open_ended = most is None
        return call

    def completion(self, body: CompletionRequest, origin: CallOrigin = NOBODY) -> Call:
        """The call of a completion, whose prompts are made here. Raises InvalidRequest for what
        this model cannot be asked."""
        ids = self._ids_of(body.prompts, "prompt", body.add_special_tokens)
        return self.completion_call(body, ids, origin, checked_grammar(body.constraint))

    def completion_call(
        self,
        body: CompletionRequest,
        prompts: Sequence[Sequence[int]],
        origin: CallOrigin = NOBODY,
        grammar: str = "",
    ) -> Call:
        """The call of a completion with these prompts, whose texts are in a grammar, if there is
        one. Raises InvalidRequest."""
        call_id = origin.name or f"cmpl-{uuid.uuid4().hex}"
        most = 16 if body.max_tokens is None else max(1, body.max_tokens)  # one is not told
        requests = self.requests.drawn(
            call_id, prompts, body, body.logprobs, most, "prompt", origin, grammar
        )
        if body.echo and body.logprobs is not None:
            for ids in prompts:
                check_scored_size(len(ids), body.logprobs)
            requests = [replace(request, score=True) for request in requests]
        choices = self._choices(call_id, requests, body, "text_completion")
        for index, choice in enumerate(choices):
            scored = requests[index].prompt if requests[index].score else ()
            choice.frame(self._echo(body, index // body.n), body.suffix, scored)
            choice.silent = body.max_tokens == 0
        return Call(call_id, requests, choices, "text_completion")

    def _echo(self, body: CompletionRequest, prompt: int) -> str:
        """The text of a prompt, if answers are to begin with theirs."""
        if not body.echo:
            return ""
        given = body.prompts[prompt]
        return given if isinstance(given, str) else self.tokenizer.decode(given)

    def tokens_call(
        self,
        body: CompletionRequest,
        prompts: Sequence[Sequence[int]],
        origin: CallOrigin = NOBODY,
        grammar: str = "",
    ) -> tuple[Call, list[TokenChoice]]:
        """The call of a completion for who reads token ids. Its answer may fill what a sequence
        holds, unless it says otherwise."""
        call_id = f"tokens-{uuid.uuid4().hex}"
        requests = self.requests.drawn(
            call_id, prompts, body, body.logprobs, body.max_tokens, "prompt", origin, grammar
        )
        choices = [
            TokenChoice(
                index,
                self.tokenizer,
                self._stop_strings(body),
                stop_tokens=self._stop_tokens(body.stops),
            )
            for index in range(len(requests))
        ]
        call = Call(call_id, requests, choices, "text_completion")
        call.open_ended = body.max_tokens is None
        return call, choices

    def embedding(self, body: EmbeddingRequest, origin: CallOrigin = NOBODY) -> Call:
        """The call of an embedding, whose inputs are tokenised here. Raises InvalidRequest."""
        self.check_embedding(body)
        ids = self._ids_of(body.inputs, "input", body.add_special_tokens)
        return self.embedding_call(body, ids, origin)

    def check_embedding(self, body: EmbeddingRequest) -> None:
        """Raises InvalidRequest for what this model cannot be asked, whatever the inputs."""
        if self.no_embeddings is not None:
            raise InvalidRequest(f"{self.name} has no embeddings: {self.no_embeddings}")
        if body.dimensions is not None and body.dimensions > self.hidden:
            raise InvalidRequest(
                f"dimensions: must be at most {self.hidden}, found {body.dimensions}",
                param="dimensions",
            )

    def embedding_call(
        self, body: EmbeddingRequest, inputs: Sequence[Sequence[int]], origin: CallOrigin = NOBODY
    ) -> Call:
        """The call of an embedding with these inputs: a request for each, whose only event says
        that its vector is there. Raises InvalidRequest."""
        call_id = f"embd-{uuid.uuid4().hex}"
        requests = self.requests.embedded(call_id, inputs, body, origin)
        vectors = [Vector(index, body.dimensions) for index in range(len(requests))]
        return Call(call_id, requests, vectors, "embeddings")

    def _ids_of(
        self, given: list[str] | list[list[int]], field: str, add_special_tokens: bool
    ) -> Sequence[Sequence[int]]:
        if texts := texts_in(given):
            work = TextsWork(texts, add_special_tokens, field, self.max_sequence_length)
            return self.prompts.text_ids(work)
        return ids_in(given)

    def _choices(
        self,
        call_id: str,
        requests: list[Request],
        body: SamplingFields,
        operation: Operation,
        schemas: Mapping[str, Mapping[str, Any]] = NO_TOOLS,
        one_call: bool = False,
    ) -> list[Choice]:
        """What becomes of each request. `schemas`: of the arguments of each function that may be
        called. `one_call`: one at most."""
        kind, stop_tokens = TOOL_PARSERS[self.tool_format], self._stop_tokens(body.stops)
        marks = (self.tokenizer.special_id(mark) for mark in kind.MARKS) if schemas else ()
        shown = frozenset(mark for mark in marks if mark is not None)
        nine = self.templates.want_nine_letters
        choices = []
        for index, request in enumerate(requests):
            tools = OfferedTools(CallIds(f"{call_id}_{index}", nine), schemas)
            choices.append(
                Choice(
                    index,
                    self.tokenizer,
                    self._stop_strings(body),
                    [kind(tools)] if schemas else (),
                    shown,
                    stop_tokens,
                    operation == "text_completion" and self._is_text(request.prompt),
                    one_call,
                )
            )
        return choices

    def _stop_strings(self, body: SamplingFields) -> StopStrings:
        """Those of the client, and the model's own."""
        return StopStrings(body.stops, () if body.ignore_eos else self.defaults.stop)

    def _stop_tokens(self, stops: Iterable[str]) -> dict[int, str]:
        """The special tokens whose names these are: text is made without them."""
        ids = {stop: self.tokenizer.special_id(stop) for stop in stops}
        return {id: stop for stop, id in ids.items() if id is not None}

    def _is_text(self, prompt: Sequence[int]) -> bool:
        """Whether any token of it is text, with which the answer goes on."""
        return any(map(self.tokenizer.adds_text, prompt))


def ends_of(files: TextFiles, tokenizer: Tokenizer, defaults: SamplingDefaults) -> frozenset[int]:
    """The tokens that end an answer."""
    ends = [files.end_token, *filter(tokenizer.special_id, defaults.stop)]
    return files.end_token_ids.union(*(ids_of(tokenizer, end) for end in ends))


def vocabulary_for_grammars(files: TextFiles, vocab: int) -> LLTokenizer:
    """The `vocab` tokens of a model as grammars look at them. Raises as `Frontend.load`, and
    ValueError for a model that has no end token."""
    tokenizer = files.tokenizer()
    return grammar_tokenizer(tokenizer, ends_of(files, tokenizer, defaults_of(files)), vocab)


def texts_in(given: list[str] | list[list[int]]) -> list[str]:
    """The texts of a field that has texts, or token ids of texts."""
    return [one for one in given if isinstance(one, str)]


def ids_in(given: list[str] | list[list[int]]) -> list[list[int]]:
    """The token ids of such a field."""
    return [one for one in given if not isinstance(one, str)]


def defaults_of(files: TextFiles) -> SamplingDefaults:
    """What the model's files say of sampling. Raises ValueError with the file."""
    try:
        return SamplingDefaults.of(files.generation_config)
    except ValueError as error:
        raise ValueError(f"{files.directory / GENERATION}: {error}") from None


def format_of(files: TextFiles) -> str:
    """How the model writes its tool calls. Raises ValueError with the file."""
    told = files.tool_format or TOOL_FORMAT
    if not isinstance(told, str) or told not in TOOL_PARSERS:
        known = ", ".join(TOOL_PARSERS)
        raise ValueError(
            f"{files.directory / TOKENIZER_CONFIG}: {FORMAT} must be one of {known}, found {told!r}"
        )
    return told


def ids_of(tokenizer: Tokenizer, token: str | None) -> frozenset[int]:
    """The id of a token, if there is one."""
    id = None if token is None else tokenizer.id_of(token)
    return frozenset() if id is None else frozenset({id})
