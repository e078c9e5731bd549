"""Everything between API objects and token ids, for one model."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from raylax.proto.calls.call import Call
from raylax.proto.calls.choice_maker import ChoiceMaker, format_of, reasoning_of
from raylax.proto.calls.forms import form_of
from raylax.proto.calls.prompt_ids import PromptIds
from raylax.proto.calls.prompt_maker import PromptMaker, places, prompts_of
from raylax.proto.calls.prompt_work import ChatWork, TextsWork, ids_in, texts_in
from raylax.proto.calls.request_maker import RequestMaker
from raylax.proto.calls.sampling_defaults import SamplingDefaults, defaults_of, ends_of
from raylax.proto.calls.scoring import repeated, scored
from raylax.proto.calls.token_choice import TokenChoice
from raylax.proto.calls.vector import Vector
from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.checking import checked_grammar
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.scores import ClassifyRequest
from raylax.proto.parsers.reasoning import NONE
from raylax.proto.parsers.tools.formats import AUTO, TOOL_FORMAT, TOOL_PARSERS
from raylax.proto.text.chat_template import ChatTemplates
from raylax.proto.text.files import TextFiles
from raylax.proto.text.judging import Judge
from raylax.proto.text.labels import Labels, labels_of
from raylax.proto.text.pooling import Pooling
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import CallOrigin

CHAT_PREFIX = "chatcmpl-"
TextBody = CompletionRequest | EmbeddingRequest | ClassifyRequest
NOBODY = CallOrigin()
"""The origin of a call that reached no router."""


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
    pooling: Pooling
    max_sequence_length: int
    rng: random.Random
    """Draws the seeds of requests that bring none."""
    tool_format: str = TOOL_FORMAT
    """One of `TOOL_PARSERS`."""
    reasoning_format: str = NONE
    """One of `REASONING_NAMES`."""
    judge: Judge | None = None
    """The words by which it says how well texts fit, if it was made for that."""
    labels: Labels | None = None
    """What its head has in the place of tokens, if it has one for texts."""
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
        tool_parser: str = AUTO,
        reasoning_parser: str = AUTO,
        reranker: str = AUTO,
        pooling: str = AUTO,
    ) -> "Frontend":
        """`max_sequence_length`: tokens of prompt and answer together. `tool_parser`,
        `reasoning_parser`, `reranker`: one of `TOOL_PARSERS`, of `REASONING_NAMES` and of
        `RERANKERS`, or what the files say; so is `pooling`, which is the engine's.
        Raises OSError, ValueError or KeyError for files that cannot be read, or say too little."""
        tokenizer, defaults = files.tokenizer(), defaults_of(files)
        templates = files.chat_templates()
        return cls(
            name,
            files,
            tokenizer,
            templates,
            ends_of(files, tokenizer, defaults),
            defaults,
            int(files.config["vocab_size"]),
            int(files.config["hidden_size"]),
            files.pooling(pooling),
            max_sequence_length,
            rng or random.Random(),
            format_of(files, templates) if tool_parser == AUTO else tool_parser,
            reasoning_of(templates) if reasoning_parser == AUTO else reasoning_parser,
            files.judge(reranker, tokenizer),
            labels_of(files.config),
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
        of_text = self.end_token_ids, self.rng, encode, self.labels is None
        return RequestMaker(self.prompt_ids, self.defaults, *of_text)

    @property
    def choices(self) -> ChoiceMaker:
        """Makes what becomes of the requests of calls, for this model."""
        formats = self.tool_format, self.reasoning_format
        nine, stops = self.templates.want_nine_letters, tuple(self.defaults.stop)
        return ChoiceMaker(self.tokenizer, stops, *formats, nine)

    def chat(
        self,
        body: ChatCompletionRequest,
        prefix: str = CHAT_PREFIX,
        field: str = "messages",
        origin: CallOrigin = NOBODY,
    ) -> Call:
        """The call of a chat request, whose prompt is made here. An API whose bodies become chat
        requests has a prefix of its own for ids, and a field in which the messages were. Raises
        InvalidRequest for what this model cannot be asked."""
        ids = self.prompts.chat_ids(self.chat_work(body, field, not body.truncates))
        grammar = checked_grammar(self.form_of(body))
        return self.chat_call(body, ids, prefix, field, origin, grammar)

    def prompt_of(self, body: ChatCompletionRequest, field: str = "messages") -> str:
        """The text of the prompt that the model's chat template makes of the messages."""
        return self.prompts.prompt(self.chat_work(body, field)).text

    def tokens_of(self, body: ChatCompletionRequest) -> list[int]:
        """The token ids of the prompt, however long it is."""
        return self.prompts.chat_ids(self.chat_work(body, bounded=False))

    def chat_work(
        self, body: ChatCompletionRequest, field: str = "messages", bounded: bool = True
    ) -> ChatWork:
        """What is done for the prompt of a chat. `bounded`: it must leave room for an answer."""
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
        ids = body.cut(ids, self.prompt_ids.fitting(most))
        after: tuple[int, ...] = ()
        if grammar and (form := self.form_of(body)) is not None:
            after = self.choices.form_begins_after(body, ids)
            grammar = self.choices.behind_thought(grammar, body, ids, form.kind == "calls")
        requests = self.requests.drawn(
            call_id, [ids], body, top, most, field, origin, grammar, after
        )
        requests = self.choices.limited(requests, body)
        requests = scored(requests, body.prompt_logprobs)
        call = Call(call_id, requests, self.choices.of_chat(call_id, requests, body), "chat")
        call.open_ended = most is None
        return call

    def form_of(self, body: ChatCompletionRequest) -> Constraint | None:
        """The form that the answer to a chat is to have; None: any."""
        format = TOOL_PARSERS[self.tool_format].FORMAT
        ids = ((mark, self.tokenizer.special_id(mark)) for mark in format.special)
        return form_of(body, format, {mark: id for mark, id in ids if id is not None})

    def completion(self, body: CompletionRequest, origin: CallOrigin = NOBODY) -> Call:
        """The call of a completion, whose prompts are made here. Raises InvalidRequest for what
        this model cannot be asked."""
        ids = self._ids_of(prompts_of(self.tokenizer, body), "prompt", body)
        return self.completion_call(body, ids, origin, checked_grammar(body.constraint))

    def completion_call(
        self,
        body: CompletionRequest,
        prompts: Sequence[Sequence[int]],
        origin: CallOrigin = NOBODY,
        grammar: str = "",
    ) -> Call:
        """The call of a completion with these prompts, as `chat_call`. Raises InvalidRequest."""
        call_id = origin.name or f"cmpl-{uuid.uuid4().hex}"
        most = 16 if body.max_tokens is None else max(1, body.max_tokens)  # one is not told
        prompts = [body.cut(ids, self.prompt_ids.fitting(most)) for ids in prompts]
        top = 0 if body.picks and body.logprobs is None else body.logprobs
        requests = self.requests.drawn(call_id, prompts, body, top, most, "prompt", origin, grammar)
        if repeats := body.echo and body.logprobs is not None:
            requests = repeated(requests)
        requests = scored(requests, body.prompt_logprobs)
        choices = self.choices.of_completion(requests, body)
        for index, choice in enumerate(choices):
            at = index // body.drawn
            scored_ids = requests[index].prompt if repeats else ()
            self.choices.frame(choice, body, body.prompts[at], prompts[at], scored_ids)
        call = Call(call_id, requests, choices, "text_completion")
        call.drawn, call.kept = body.drawn, body.n
        return call

    def tokens_call(
        self,
        body: CompletionRequest,
        prompts: Sequence[Sequence[int]],
        origin: CallOrigin = NOBODY,
        grammar: str = "",
    ) -> tuple[Call, list[TokenChoice]]:
        """The call of a completion for who reads token ids; it may fill what a sequence holds."""
        call_id = f"tokens-{uuid.uuid4().hex}"
        prompts = [body.cut(ids, self.prompt_ids.fitting(body.max_tokens)) for ids in prompts]
        requests = self.requests.drawn(
            call_id, prompts, body, body.logprobs, body.max_tokens, "prompt", origin, grammar
        )
        choices = self.choices.of_tokens(requests, body)
        call = Call(call_id, requests, choices, "text_completion")
        call.open_ended = body.max_tokens is None
        return call, choices

    def texts_work(self, texts: list[str], field: str, body: TextBody) -> TextsWork:
        """What is to be done for texts, which must leave room for an answer if none is cut."""
        longest = None if body.truncates else self.max_sequence_length
        return TextsWork(texts, body.add_special_tokens is not False, field, longest)

    def embedding(self, body: EmbeddingRequest, origin: CallOrigin = NOBODY) -> Call:
        """The call of an embedding, whose inputs are tokenised here. Raises InvalidRequest."""
        self.check_embedding(body)
        return self.embedding_call(body, self._ids_of(body.inputs, "input", body), origin)

    def check_embedding(self, body: EmbeddingRequest) -> None:
        """Raises InvalidRequest for what it cannot be asked, whatever the inputs."""
        self.check_embeds()
        if body.pooling not in (None, self.pooling.how):
            raise InvalidRequest(
                f"pooling: {self.name} pools by {self.pooling.how}, found {body.pooling}",
                param="pooling",
            )
        if body.dimensions is not None and body.dimensions > self.hidden:
            most = f"dimensions: must be at most {self.hidden}, found {body.dimensions}"
            raise InvalidRequest(most, param="dimensions")

    def check_embeds(self) -> None:
        """Raises InvalidRequest for a model that has no embeddings."""
        if (unsupported := self.pooling.unsupported) is not None:
            raise InvalidRequest(f"{self.name} has no embeddings: {unsupported}")

    def embedding_call(
        self, body: EmbeddingRequest, inputs: Sequence[Sequence[int]], origin: CallOrigin = NOBODY
    ) -> Call:
        """The call of an embedding with these inputs. Raises InvalidRequest."""
        call_id = f"embd-{uuid.uuid4().hex}"
        inputs = [body.cut(ids, self.prompt_ids.fitting(1)) for ids in inputs]
        fields = places("input", len(inputs))
        requests = self.requests.embedded(call_id, inputs, fields, body, origin)
        vectors = [Vector(index, body.dimensions) for index in range(len(requests))]
        return Call(call_id, requests, vectors, "embeddings")

    def _ids_of(
        self, given: list[str] | list[list[int]], field: str, body: TextBody
    ) -> Sequence[Sequence[int]]:
        if texts := texts_in(given):
            return self.prompts.text_ids(self.texts_work(texts, field, body))
        return ids_in(given)
