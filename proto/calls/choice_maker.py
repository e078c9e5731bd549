"""What becomes of the requests of a call: choices, whose text is read as their model writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raylax.proto.calls.choice import Choice
from raylax.proto.calls.token_choice import TokenChoice
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.parsers.tools.choosing import format_shown
from raylax.proto.parsers.tools.formats import TOOL_FORMAT, TOOL_PARSERS
from raylax.proto.parsers.tools.offered import CallIds, OfferedTools
from raylax.proto.text.chat_template import ChatTemplates
from raylax.proto.text.files import FORMAT, TextFiles
from raylax.proto.text.stop_strings import StopStrings
from raylax.proto.text.template_files import TOKENIZER_CONFIG
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import Request


@dataclass(frozen=True)
class ChoiceMaker:
    """Makes the choices of one model's calls."""

    tokenizer: Tokenizer
    stops: tuple[str, ...]
    """The model's own stop strings."""
    tool_format: str
    """One of `TOOL_PARSERS`."""
    nine_letters: bool
    """Whether ids of calls have exactly nine letters and digits."""

    def of_chat(
        self, call_id: str, requests: Sequence[Request], body: ChatCompletionRequest
    ) -> list[Choice]:
        """Those of a chat."""
        schemas = {tool.function.name: tool.function.parameters for tool in body.offered}
        return [
            self._of_chat(index, f"{call_id}_{index}", body, schemas)
            for index in range(len(requests))
        ]

    def of_completion(self, requests: Sequence[Request], body: CompletionRequest) -> list[Choice]:
        """Those of a completion, which may go on with the text of its prompt."""
        return [
            Choice(
                index,
                self.tokenizer,
                self._stop_strings(body),
                shown=self._shown(body),
                stop_tokens=self._stop_tokens(body.stops),
                continues=any(map(self.tokenizer.adds_text, request.prompt)),
            )
            for index, request in enumerate(requests)
        ]

    def of_tokens(self, requests: Sequence[Request], body: CompletionRequest) -> list[TokenChoice]:
        """Those of a completion for who reads token ids."""
        return [
            TokenChoice(
                index,
                self.tokenizer,
                self._stop_strings(body),
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
    ) -> Choice:
        kind = TOOL_PARSERS[self.tool_format]
        tools = OfferedTools(CallIds(name, self.nine_letters), schemas)
        return Choice(
            index,
            self.tokenizer,
            self._stop_strings(body),
            [kind(tools)] if schemas else (),
            self._shown(body, kind.MARKS if schemas else ()),
            self._stop_tokens(body.stops),
            one_call=not body.parallel_tool_calls,
        )

    def _shown(self, body: SamplingFields, marks: Iterable[str] = ()) -> frozenset[int]:
        """The special tokens that are text: of the marks, or all of them."""
        if not body.skip_special_tokens:
            return self.tokenizer.special_ids
        ids = map(self.tokenizer.special_id, marks)
        return frozenset(id for id in ids if id is not None)

    def _stop_strings(self, body: SamplingFields) -> StopStrings:
        """Those of the client, and the model's own."""
        own = () if body.ignore_eos else self.stops
        return StopStrings(body.stops, own, body.include_stop_str_in_output)

    def _stop_tokens(self, stops: Iterable[str]) -> dict[int, str]:
        """The special tokens whose names these are: text is made without them."""
        ids = {stop: self.tokenizer.special_id(stop) for stop in stops}
        return {id: stop for stop, id in ids.items() if id is not None}


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
