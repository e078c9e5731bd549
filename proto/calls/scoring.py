"""Which requests of a call have their prompts scored, and which of its answers are kept."""

from collections.abc import Sequence
from dataclasses import replace

from raylax.proto.calls.choice import Choice
from raylax.proto.calls.prompt_ids import check_scored_size
from raylax.proto.vocabulary import Request


def repeated(requests: Sequence[Request]) -> list[Request]:
    """The requests of answers that begin with their prompts, with log-probabilities of these, too.
    Raises InvalidRequest for too many."""
    for request in requests:
        check_scored_size(len(request.prompt), request.sampling.top_logprobs or 0, "logprobs")
    return [replace(request, score=True) for request in requests]


def scored(requests: list[Request], top: int | None) -> list[Request]:
    """The same, but that the log-probabilities of each prompt are told once: its first request has
    it scored, with `top` more at each place; None: none are told. Raises InvalidRequest for too
    many."""
    if top is None:
        return requests
    made = []
    for request in requests:
        if request.choice == 0:
            most = max(top, request.sampling.top_logprobs or 0)
            check_scored_size(len(request.prompt), most, "prompt_logprobs")
            sampling = replace(request.sampling, top_logprobs=most)
            request = replace(request, sampling=sampling, score=True)
        made.append(request)
    return made


def best(choices: Sequence[Choice], drawn: int, kept: int) -> list[Choice]:
    """Of `drawn` answers to each prompt the `kept` ones whose tokens are likeliest on average, by
    their log-probabilities; they are numbered anew. One of no tokens comes last."""
    chosen = []
    for at in range(0, len(choices), drawn):
        ranked = sorted(choices[at : at + drawn], key=lambda one: -one.mean_logprob)
        chosen += ranked[:kept]
    for index, choice in enumerate(chosen):
        choice.index = index
    return chosen
