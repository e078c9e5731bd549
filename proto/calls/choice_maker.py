"""What becomes of the requests of a call: choices, whose text is read as their model writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raylax.proto.calls.choice import Choice, ThoughtsShown
from raylax.proto.calls.prompt_maker import infilling_of
from raylax.proto.calls.token_choice import TokenChoice
from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.thoughts import Thinking, may_think_first
from raylax.proto.openai.chat import ChatCompletionRequest, Message
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.parsers.base import OutputParser
from raylax.proto.parsers.reasoning import HARMONY, HARMONY_MARKS, NONE, REASONING_FORMATS
from raylax.proto.parsers.reasoning.choosing import reasoning_shown
from raylax.proto.parsers.reasoning.thinking import ThinkingParser, ThoughtMarks
from raylax.proto.parsers.tools.choosing import format_shown
from raylax.proto.parsers.tools.formats import TOOL_FORMAT, TOOL_PARSERS
from raylax.proto.parsers.tools.offered import CallIds, OfferedTools
from raylax.proto.text.chat_template import ChatTemplates
from raylax.proto.text.files import FORMAT, TextFiles
from raylax.proto.text.stop_strings import StopStrings
from raylax.proto.text.template_files import TOKENIZER_CONFIG
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import Request, ThinkingLimit

SELF_ENDING = ("json_schema", "choice")
"""Kinds of forms behind which nothing can follow."""
PROMPT_END = 32
"""Tokens of a prompt, of which the mark of a thought is the last word."""


@dataclass(frozen=True)
class ChoiceMaker:
    """Makes the choices of one model's calls."""

    tokenizer: Tokenizer
    stops: tuple[str, ...]
    """The model's own stop strings."""
    tool_format: str
    """One of `TOOL_PARSERS`."""
    reasoning_format: str
    """One of `REASONING_NAMES`."""
    nine_letters: bool
    """Whether ids of calls have exactly nine letters and digits."""

    def of_chat(
        self, call_id: str, requests: Sequence[Request], body: ChatCompletionRequest
    ) -> list[Choice]:
        """Those of a chat."""
        schemas = {tool.function.name: tool.function.parameters for tool in body.offered}
        own = () if body.must_call else self._own_stops(body)
        return [
            self._of_chat(index, f"{call_id}_{index}", body, schemas, request.prompt, own)
            for index, request in enumerate(requests)
        ]

    def limited(self, requests: list[Request], body: ChatCompletionRequest) -> list[Request]:
        """The requests of a chat, with how long they may think. Raises InvalidRequest where that
        cannot be bounded."""
        if (limit := self._limit(body, requests[0])) is None:
            return requests
        return [replace(one, sampling=replace(one.sampling, thinking=limit)) for one in requests]

    def _limit(self, body: ChatCompletionRequest, request: Request) -> ThinkingLimit | None:
        if (marks := self._all_marks) is None or body.most_thought is None:
            return None
        closed_by, *more = self.tokenizer.encode(marks.closes[0], False)
        if more:
            raise InvalidRequest(
                "thinking_budget: only thoughts that end with one token can be bounded, this "
                f"model's end with the {1 + len(more)} of {marks.closes[0]}",
                param="thinking_budget",
            )
        inside = self._thinks_already(marks, body, request.prompt)
        opened_by = [] if inside else self.tokenizer.encode(marks.opens[0], False)
        # what follows a thought in a grammar, that says
        close = "" if request.sampling.grammar else marks.close
        close_ids = self.tokenizer.encode(close or marks.closes[0], False)
        return ThinkingLimit(body.most_thought, tuple(opened_by), closed_by, tuple(close_ids))

    @property
    def _marks(self) -> ThoughtMarks | None:
        return REASONING_FORMATS.get(self.reasoning_format)

    @property
    def _all_marks(self) -> ThoughtMarks | None:
        """Also those that are read with the calls of tools."""
        return HARMONY_MARKS if self.reasoning_format == HARMONY else self._marks

    def of_completion(self, requests: Sequence[Request], body: CompletionRequest) -> list[Choice]:
        """Those of a completion, which may go on with the text of its prompt."""
        shown, stop_tokens = self._shown(body), self._stop_tokens(body.stops)
        own = self._own_stops(body)
        return [
            Choice(
                index,
                self.tokenizer,
                stop_strings(body, own),
                shown=shown,
                stop_tokens=stop_tokens,
                continues=any(map(self.tokenizer.adds_text, request.prompt)),
                tops=body.logprobs,
                hides_logprobs=body.logprobs is None,
                prompt_tops=body.prompt_logprobs,
                tells_ids=body.return_token_ids,
            )
            for index, request in enumerate(requests)
        ]

    def frame(
        self,
        choice: Choice,
        body: CompletionRequest,
        given: object,
        ids: Sequence[int],
        scored: Sequence[int],
    ) -> None:
        """Puts around an answer what is to stand there: the prompt, with log-probabilities of what
        is `scored`, and the suffix of a model that does not look at it."""
        before = self.echo(body, given, ids) if body.echo else ""
        filled = body.suffix and infilling_of(self.tokenizer) is not None
        choice.frame(before, "" if filled else body.suffix, scored)
        choice.silent = body.max_tokens == 0

    def echo(self, body: CompletionRequest, given: object, ids: Sequence[int]) -> str:
        """The text of a prompt: as it was given, or as that of an answer is made."""
        if isinstance(given, str) and body.skip_special_tokens and not body.truncates:
            return given
        return self.tokenizer.decode(ids, body.skip_special_tokens)

    def of_tokens(self, requests: Sequence[Request], body: CompletionRequest) -> list[TokenChoice]:
        """Those of a completion for who reads token ids."""
        own = self._own_stops(body)
        return [
            TokenChoice(
                index,
                self.tokenizer,
                stop_strings(body, own),
                stop_tokens=self._stop_tokens(body.stops),
            )
            for index in range(len(requests))
        ]

    def _of_chat(
        self,
        index: int,
        name: str,
        body: ChatCompletionRequest,
        schemas: Mapping[str, Mapping[str, Any]],
        prompt: Sequence[int],
        own_stops: Sequence[str],
    ) -> Choice:
        kind, parsers, looked_for = TOOL_PARSERS[self.tool_format], list[OutputParser](), set[str]()
        marks = self._marks
        if marks is not None and body.separate_reasoning:
            parsers.append(ThinkingParser(marks, self._thinks_already(marks, body, prompt)))
            looked_for |= set(marks.all)
        if schemas or self.tool_format == HARMONY:
            parsers.append(kind(OfferedTools(CallIds(name, self.nine_letters), schemas)))
            looked_for |= set(kind.MARKS)
        apart = body.separate_reasoning and self.reasoning_format != NONE
        shown: ThoughtsShown = "apart" if apart else "in the text"
        return Choice(
            index,
            self.tokenizer,
            stop_strings(body, own_stops),
            parsers,
            self._shown(body, looked_for),
            self._stop_tokens(body.stops),
            only_calls=body.must_call,
            one_call=not body.parallel_tool_calls,
            thoughts=shown if body.tells_thoughts else "not",
            tops=body.top_logprobs or 0,
            hides_logprobs=not body.logprobs,
            prompt_tops=body.prompt_logprobs,
            tells_ids=body.return_token_ids,
        )

    def form_begins_after(
        self, body: ChatCompletionRequest, prompt: Sequence[int]
    ) -> tuple[int, ...]:
        """The tokens of the answer behind which a form of it begins: nothing where it begins with
        the answer. Raises InvalidRequest where what the model thinks has no end that is sure to be
        found."""
        marks = REASONING_FORMATS.get(self.reasoning_format)
        if marks is None or not self._thinks_already(marks, body, prompt):
            return ()
        if (end := self.tokenizer.id_of(marks.closes[0])) is None:
            raise InvalidRequest(
                f"a form begins behind what the model thinks, and {marks.closes[0]} is no token of "
                'its own; turn thinking off: chat_template_kwargs {"enable_thinking": false}'
            )
        return (end,)

    def behind_thought(
        self, grammar: str, body: ChatCompletionRequest, prompt: Sequence[int], has_calls: bool
    ) -> str:
        """The grammar of an answer in this one, which the model may begin with a thought, unless
        one was begun before, or has ended. `has_calls`: it says itself what stands before text."""
        if (marks := self._all_marks) is None or body.continue_final_message:
            return grammar
        ends = self._end_of(prompt)
        if marks.is_open_after(ends) or ends.endswith(marks.closes):
            return grammar
        ids = {mark: self.tokenizer.special_id(mark) for mark in marks.tokens or marks.all}
        thinking = Thinking(
            marks.opens,
            marks.closes,
            {mark: id for mark, id in ids.items() if id is not None},
            marks.between,
            "" if has_calls else marks.before_text,
        )
        return may_think_first(grammar, thinking)

    def _thinks_already(
        self, marks: ThoughtMarks, body: ChatCompletionRequest, prompt: Sequence[int]
    ) -> bool:
        """Whether the answer begins within a thought: as the prompt ends, or the message that it
        goes on with."""
        if body.continue_final_message:
            return marks.is_open_in(text_of(body.messages[-1]))
        return marks.is_open_after(self._end_of(prompt))

    def _end_of(self, prompt: Sequence[int]) -> str:
        ends = self.tokenizer.decode(prompt[-PROMPT_END:], skip_special_tokens=False)
        return ends.rstrip()

    def _shown(self, body: SamplingFields, marks: Iterable[str] = ()) -> frozenset[int]:
        """The special tokens that are text: of the marks, or all of them."""
        if not body.skip_special_tokens:
            return self.tokenizer.special_ids
        ids = map(self.tokenizer.special_id, marks)
        return frozenset(id for id in ids if id is not None)

    def _own_stops(self, body: SamplingFields) -> Sequence[str]:
        """The model's own stop strings, but where the answer has a form that ends by itself: there
        they may be a part of what is said."""
        if body.ignore_eos or not self.stops:
            return ()
        form = body.constraint
        return () if form is not None and form.kind in SELF_ENDING else self.stops

    def _stop_tokens(self, stops: Iterable[str]) -> dict[int, str]:
        """The special tokens whose names these are: text is made without them."""
        ids = {stop: self.tokenizer.special_id(stop) for stop in stops}
        return {id: stop for stop, id in ids.items() if id is not None}


def stop_strings(body: SamplingFields, own: Sequence[str]) -> StopStrings:
    """Those of the client, and the model's own."""
    return StopStrings(body.stops, own, body.include_stop_str_in_output)


def format_of(files: TextFiles, templates: ChatTemplates) -> str:
    """How the model writes its tool calls, as its files say, or as its templates show. Raises
    ValueError with the file."""
    if (told := files.tool_format) is None:
        shown = format_shown(template.source for template in templates.named.values())
        return shown or TOOL_FORMAT
    if not isinstance(told, str) or told not in TOOL_PARSERS:
        known = ", ".join(TOOL_PARSERS)
        raise ValueError(
            f"{files.directory / TOKENIZER_CONFIG}: {FORMAT} must be one of {known}, found {told!r}"
        )
    return told


def text_of(message: Message) -> str:
    """All text of a message's content."""
    content = message.for_template()["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def reasoning_of(templates: ChatTemplates) -> str:
    """How the model marks what it thinks, as its templates show."""
    return reasoning_shown(template.source for template in templates.named.values())
