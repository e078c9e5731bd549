"""Makes the calls of requests: prompts aside, in processes that can be ended, and what is large of
the rest on a thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raylax.proto.calls.call import Call
from raylax.proto.calls.prompt_maker import prompts_of
from raylax.proto.calls.prompt_work import (
    DecodeWork,
    ListWork,
    PromptWork,
    TextsWork,
    ids_in,
    texts_in,
)
from raylax.proto.calls.token_choice import TokenChoice
from raylax.proto.calls.vector import LabelledCall, PairedCall
from raylax.proto.frontend import CHAT_PREFIX, Frontend, TextBody
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.scores import ClassifyRequest, PairFields
from raylax.proto.openai.tokenize import DetokenizeRequest, TokenizeRequest
from raylax.proto.pairs.compared import compared, texts_works
from raylax.proto.pairs.judged import chat_works, judged
from raylax.proto.pairs.labelled import check_labels, labelled, labelled_pairs, labelled_works
from raylax.proto.vocabulary import CallOrigin
from raylax.router.prompts.parse_pool import ParsePool
from raylax.router.prompts.pool import Asker, PromptPool

BYTES_PER_TOKEN = 4
BYTES_PER_ANSWER = 256
"""What each answer counts that is to be made: a thousand of them take tens of milliseconds."""
MOST_LIST_BYTES = 32 << 20
"""Of an answer of /tokenize."""
Prompts = Sequence[Sequence[int]]
WorksOf = Callable[[Frontend, PairFields], Sequence[PromptWork]]


@dataclass(frozen=True, slots=True)
class CallMaker:
    """Makes what is asked of one model by one request of `size` bytes. Its methods raise
    InvalidRequest for what the model cannot be asked, Overloaded, and WorkerUnavailable."""

    frontend: Frontend
    prompts: PromptPool
    threads: ParsePool
    origin: CallOrigin
    size: int

    @property
    def model(self) -> str:
        """Its name."""
        return self.frontend.name

    async def chat(
        self, body: ChatCompletionRequest, prefix: str = CHAT_PREFIX, field: str = "messages"
    ) -> Call:
        """The call of a chat, see `Frontend.chat`."""
        self.frontend.requests.check_writes()
        (ids,) = await self._chat_ids(body, field, not body.truncates)
        grammar = await self._grammar(self.frontend.form_of(body))
        return await self.threads.run(
            BYTES_PER_TOKEN * len(ids) * body.drawn,
            lambda: self.frontend.chat_call(body, ids, prefix, field, self.origin, grammar),
        )

    async def completion(self, body: CompletionRequest) -> Call:
        """The call of a completion."""
        given = prompts_of(self.frontend.tokenizer, body)
        prompts = await self._ids_of(given, "prompt", body)
        grammar = await self._grammar(body.constraint)
        return await self.threads.run(
            self._size(prompts, body.drawn),
            lambda: self.frontend.completion_call(body, prompts, self.origin, grammar),
        )

    async def tokens(self, body: CompletionRequest) -> tuple[Call, list[TokenChoice]]:
        """The call of a completion for who reads token ids."""
        prompts = await self._ids_of(body.prompts, "prompt", body)
        grammar = await self._grammar(body.constraint)
        return await self.threads.run(
            self._size(prompts, body.drawn),
            lambda: self.frontend.tokens_call(body, prompts, self.origin, grammar),
        )

    async def embedding(self, body: EmbeddingRequest) -> Call:
        """The call of an embedding."""
        self.frontend.check_embedding(body)
        inputs = await self._ids_of(body.inputs, "input", body)
        return await self.threads.run(
            self._size(inputs, 1), lambda: self.frontend.embedding_call(body, inputs, self.origin)
        )

    async def pairs(self, body: PairFields) -> PairedCall:
        """The call that says how well a query and a document fit, for each pair."""
        if self.frontend.judge is None and self.frontend.labels is None:
            works = texts_works(self.frontend, body)
            texts = [await self.prompts.ids(self.model, work, self._asker) for work in works]
            return await self.threads.run(
                sum(self._size(prompts, 1) for prompts in texts),
                lambda: compared(self.frontend, body, texts, self.origin),
            )
        has_labels = self.frontend.labels is not None
        works_of: WorksOf = labelled_works if has_labels else chat_works
        call = labelled_pairs if has_labels else judged
        shown = await self.threads.run(self.size, lambda: works_of(self.frontend, body))
        prompts = [
            ids for work in shown for ids in await self.prompts.ids(self.model, work, self._asker)
        ]
        return await self.threads.run(
            self._size(prompts, 1), lambda: call(self.frontend, body, prompts, self.origin)
        )

    async def labelled(self, body: ClassifyRequest) -> LabelledCall:
        """The call that says which labels each text has, or the text of messages."""
        check_labels(self.frontend)
        if body.messages is not None:
            inputs = await self._chat_ids(body.for_chat(), "messages", not body.truncates)
        else:
            inputs = await self._ids_of(body.inputs, "input", body)
        return await self.threads.run(
            self._size(inputs, 1), lambda: labelled(self.frontend, body, inputs, self.origin)
        )

    async def count(self, body: ChatCompletionRequest) -> int:
        """How many tokens the prompt of a chat has, be it too long for the model."""
        (ids,) = await self._chat_ids(body, "messages", bounded=False)
        return len(ids)

    async def token_list(self, body: TokenizeRequest) -> tuple[bytes, int]:
        """The JSON of a `TokenizeResponse`, and how many tokens there are."""
        work: PromptWork = TextsWork([body.prompt or ""], body.special, "prompt", None)
        if body.messages is not None:
            chat = body.for_chat()
            work = await self.threads.run(
                self.size, lambda: self.frontend.chat_work(chat, bounded=False)
            )
        longest = self.frontend.max_sequence_length
        listed = ListWork(work, longest, bool(body.return_token_strs), MOST_LIST_BYTES)
        return await self.prompts.token_list(self.model, listed, self._asker)

    async def text(self, body: DetokenizeRequest) -> str:
        """The text of token ids."""
        self.frontend.prompt_ids.check_ids(body.tokens, "tokens")
        return await self.prompts.text(self.model, DecodeWork(body.tokens), self._asker)

    async def _chat_ids(
        self, body: ChatCompletionRequest, field: str, bounded: bool = True
    ) -> Prompts:
        work = await self.threads.run(
            self.size, lambda: self.frontend.chat_work(body, field, bounded)
        )
        return await self.prompts.ids(self.model, work, self._asker)

    async def _grammar(self, constraint: Constraint | None) -> str:
        if constraint is None:
            return ""
        return await self.prompts.grammar(self.model, constraint, self._asker)

    async def _ids_of(
        self,
        given: list[str] | list[list[int]],
        field: str,
        body: TextBody,
    ) -> Prompts:
        if not (texts := texts_in(given)):
            return ids_in(given)
        work = self.frontend.texts_work(texts, field, body)
        return await self.prompts.ids(self.model, work, self._asker)

    @property
    def _asker(self) -> Asker:
        return Asker(self.origin.tenant, self.origin.share, self.size)

    def _size(self, prompts: Prompts, n: int) -> int:
        return n * sum(BYTES_PER_ANSWER + BYTES_PER_TOKEN * len(ids) for ids in prompts)
