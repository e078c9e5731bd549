"""The log-probabilities of a prompt's tokens, in vLLM's shape."""

from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice, written
from raylax.proto.calls.events import readable
from raylax.proto.openai.telling import PromptLogprob, PromptLogprobs
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import TokenLogprobs


def prompt_scores(call: Call, request: int) -> PromptLogprobs | None:
    """Those of the prompt of a request, the first one for it, if they are wanted: at each place but
    the first, which follows nothing, the token's own and the likeliest ones."""
    part = call.parts[request]
    if not isinstance(part, Choice) or part.prompt_tops is None:
        return None
    tokenizer, most = part.tokenizer, part.prompt_tops
    entries = zip(call.requests[request].prompt[1:], part.prompt_scores, strict=False)
    return [None, *(place(tokenizer, token, entry, most) for token, entry in entries)]


def place(
    tokenizer: Tokenizer, token: int, entry: TokenLogprobs, most: int
) -> dict[int, PromptLogprob]:
    """One place. A rank is known of the likeliest alone."""

    def shown(id: int, logprob: float, rank: int | None) -> PromptLogprob:
        text = readable(tokenizer.bytes_of(id))
        return PromptLogprob(logprob=written(logprob), rank=rank, decoded_token=text)

    ranks = {id: rank for rank, (id, _) in enumerate(entry.top, 1)}
    told = {token: shown(token, entry.logprob, ranks.get(token))}
    for rank, (id, logprob) in enumerate(entry.top[:most], 1):
        told.setdefault(id, shown(id, logprob, rank))
    return told
