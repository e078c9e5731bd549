"""Choices as token ids, in the messages of the engine protocol."""

from collections.abc import Sequence

from raylax.proto.calls.token_choice import TokenChoice
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.proto.vocabulary import TokenLogprobs


class Replies:
    """Writes the replies of one call. In a stream they tell of tokens as they come; the last one of
    a choice tells everything."""

    def __init__(self, prompt_tokens: int, choices: Sequence[TokenChoice], stream: bool) -> None:
        self._prompt_tokens, self._choices, self._stream = prompt_tokens, choices, stream
        self._written = [0] * len(choices)

    def of(self, index: int) -> list[pb.GenerateResponse]:
        """The replies that an event of this choice brings."""
        choice, said = self._choices[index], []
        if self._stream:
            new = range(self._written[index], len(choice.ids))
            said = [pb.GenerateResponse(chunk=self._chunk(choice, at)) for at in new]
            self._written[index] = len(choice.ids)
        if choice.finish_reason is not None:
            said.append(self._complete(choice, choice.finish_reason))
        return said

    def aborted(self) -> list[pb.GenerateResponse]:
        """The last replies of those choices that had not ended."""
        open_ = [choice for choice in self._choices if choice.finish_reason is None]
        return [self._complete(choice, "abort") for choice in open_]

    def _chunk(self, choice: TokenChoice, at: int) -> pb.GenerateStreamChunk:
        """The reply that tells of one token, the one at this place, also where several came
        together."""
        one = slice(at, at + 1)
        return pb.GenerateStreamChunk(
            token_ids=choice.ids[one],
            prompt_tokens=self._prompt_tokens,
            completion_tokens=at + 1,
            cached_tokens=choice.cached_tokens,
            output_logprobs=logprobs_message(choice.ids[one], choice.logprobs[one]),
            index=choice.index,
        )

    def _complete(self, choice: TokenChoice, reason: str) -> pb.GenerateResponse:
        complete = pb.GenerateComplete(
            output_ids=choice.ids,
            finish_reason=reason,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=choice.tokens,
            cached_tokens=choice.cached_tokens,
            output_logprobs=logprobs_message(choice.ids, choice.logprobs),
            index=choice.index,
        )
        if choice.stops.matched is not None:
            complete.matched_stop_str = choice.stops.matched
        return pb.GenerateResponse(complete=complete)


def logprobs_message(
    ids: Sequence[int], entries: Sequence[TokenLogprobs]
) -> pb.OutputLogProbs | None:
    """The log-probabilities of these tokens; None where they were not asked for."""
    if not entries:
        return None
    return pb.OutputLogProbs(
        token_logprobs=[entry.logprob for entry in entries],
        token_ids=ids,
        top_logprobs=[
            pb.TopLogProbs(
                values=[logprob for _, logprob in entry.top],
                token_ids=[token for token, _ in entry.top],
            )
            for entry in entries
        ],
    )
