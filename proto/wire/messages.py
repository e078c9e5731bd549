"""The nouns of `vocabulary` as messages of engine.proto, and back: the only place where."""

from collections.abc import Iterable
from typing import NamedTuple

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import (
    Cuts,
    Delta,
    Fault,
    Finish,
    Load,
    Priority,
    Request,
    Sampling,
    StepTime,
    ThinkingLimit,
    TokenLogprobs,
)


class Resumption(NamedTuple):
    """How a request goes on at the worker that it is sent to: this changes from one to the next,
    while the request stays what it is."""

    history: tuple[int, ...] = ()
    """Tokens of the answer that were emitted elsewhere before; generation goes on after them."""
    deadline_s: float | None = None
    """Seconds that are left of the request's time."""
    pages_at: str = ""
    """Address of a worker that may still have its pages; empty: they are computed."""


def submit_to_proto(
    request: Request,
    dispatch: int = 0,
    request_id: str | None = None,
    coalesce: int = 1,
    resumption: Resumption | None = None,
) -> pb.Submit:
    """`request_id`: what the worker is to call it, if not by its own name; `coalesce`: so many
    tokens may be told together; `resumption`: in place of what the request says of it."""
    s = request.sampling
    history, deadline_s, pages_at = resumption or (
        request.history,
        request.deadline_s,
        request.pages_at,
    )
    return pb.Submit(
        request_id=request.id if request_id is None else request_id,
        prompt=request.prompt,
        max_tokens=request.max_tokens,
        sampling=pb.Sampling(
            temperature=s.temperature,
            top_p=s.top_p,
            top_k=s.top_k,
            min_p=s.min_p,
            presence_penalty=s.presence_penalty,
            frequency_penalty=s.frequency_penalty,
            repetition_penalty=s.repetition_penalty,
            logit_bias=dict(s.logit_bias),
            seed=s.seed,
            top_logprobs=s.top_logprobs,
            typical_p=s.typical_p,
            min_tokens=s.min_tokens,
            allowed_token_ids=s.allowed_token_ids,
            bad_words=[pb.Phrase(token_ids=phrase) for phrase in s.bad_words],
            grammar=s.grammar,
            grammar_after=s.grammar_after,
            thinking=None if s.thinking is None else limit_to_proto(s.thinking),
        ),
        choice=request.choice,
        stop_token_ids=sorted(request.stop_token_ids),
        history=history,
        deadline_s=deadline_s,
        tenant=request.tenant,
        share=request.share,
        priority=request.priority,
        pages_at=pages_at,
        traceparent=request.traceparent,
        tracestate=request.tracestate,
        embed=request.embed,
        dispatch=dispatch,
        coalesce=coalesce,
        page_root=request.page_root,
        pin=request.pin,
        score=request.score,
        logits_of=request.logits_of,
    )


def limit_to_proto(limit: ThinkingLimit) -> pb.ThinkingLimit:
    return pb.ThinkingLimit(
        budget=limit.budget,
        opened_by=limit.opened_by,
        closed_by=limit.closed_by,
        close=limit.close,
    )


def limit_from_proto(message: pb.ThinkingLimit) -> ThinkingLimit:
    return ThinkingLimit(
        message.budget, tuple(message.opened_by), message.closed_by, tuple(message.close)
    )


def submit_from_proto(message: pb.Submit) -> Request:
    """The request of a command. Raises ValueError for a priority that does not exist."""
    s = message.sampling
    return Request(
        id=message.request_id,
        prompt=tuple(message.prompt),
        max_tokens=message.max_tokens,
        sampling=Sampling(
            temperature=s.temperature,
            top_p=s.top_p,
            top_k=s.top_k,
            min_p=s.min_p,
            presence_penalty=s.presence_penalty,
            frequency_penalty=s.frequency_penalty,
            repetition_penalty=s.repetition_penalty,
            logit_bias=tuple(sorted(s.logit_bias.items())),
            seed=s.seed,
            top_logprobs=s.top_logprobs if s.HasField("top_logprobs") else None,
            typical_p=s.typical_p if s.HasField("typical_p") else 1.0,
            min_tokens=s.min_tokens,
            allowed_token_ids=tuple(s.allowed_token_ids),
            bad_words=tuple(tuple(phrase.token_ids) for phrase in s.bad_words),
            grammar=s.grammar,
            grammar_after=tuple(s.grammar_after),
            thinking=limit_from_proto(s.thinking) if s.HasField("thinking") else None,
        ),
        choice=message.choice,
        stop_token_ids=frozenset(message.stop_token_ids),
        history=tuple(message.history),
        deadline_s=message.deadline_s if message.HasField("deadline_s") else None,
        tenant=message.tenant,
        share=message.share if message.HasField("share") else 1.0,
        priority=Priority(message.priority),
        pages_at=message.pages_at,
        traceparent=message.traceparent,
        tracestate=message.tracestate,
        embed=message.embed,
        page_root=message.page_root,
        pin=message.pin,
        score=message.score,
        logits_of=tuple(message.logits_of),
    )


def delta_to_proto(delta: Delta) -> pb.Delta:
    return pb.Delta(
        request_id=delta.request_id,
        token_ids=delta.token_ids,
        logprobs=logprobs_to_proto(delta.logprobs),
        prompt_logprobs=logprobs_to_proto(delta.prompt_logprobs),
        finish=delta.finish or "",
        error=delta.error or "",
        cached_tokens=delta.cached_tokens,
        fault=delta.fault,
        began=delta.began,
        embedding=delta.embedding,
        accepted=delta.accepted,
        drafts=delta.drafts,
        drafted=delta.drafted,
        cuts=None if delta.cuts is None else pb.Cuts(**delta.cuts._asdict()),
    )


FINISHES: dict[str, Finish | None] = {"": None, **{str(finish): finish for finish in Finish}}
"""Looked up by a router for each token: an enum's own call costs several times as much."""
FAULTS = {str(fault): fault for fault in Fault}


def delta_from_proto(message: pb.Delta, request_id: str | None = None) -> Delta:
    """`request_id`: what the request is called here, if the worker knows it by another name.
    Fields that come with the end alone are looked at then: there is a delta for each token."""
    finish = FINISHES[message.finish]
    going_on = Delta(
        message.request_id if request_id is None else request_id,
        tuple(message.token_ids[:]),  # a slice is a list: twice as fast as one by one
        logprobs_from_proto(logprobs) if (logprobs := message.logprobs) else (),
        finish,
        None,
        message.cached_tokens,
        Fault.ENGINE,
        message.began,
    )
    if scored := message.prompt_logprobs:
        going_on = going_on._replace(prompt_logprobs=logprobs_from_proto(scored))
    if message.HasField("cuts"):
        c = message.cuts
        going_on = going_on._replace(cuts=Cuts(c.steps, c.cut, c.target_s, c.beyond))
    if finish is None:
        return going_on
    return going_on._replace(
        error=message.error or None,
        fault=FAULTS[message.fault],
        embedding=tuple(message.embedding),
        accepted=message.accepted,
        drafts=message.drafts,
        drafted=message.drafted,
    )


def logprobs_to_proto(entries: Iterable[TokenLogprobs]) -> list[pb.TokenLogprobs]:
    return [
        pb.TokenLogprobs(
            logprob=entry.logprob,
            top_ids=[token for token, _ in entry.top],
            top_logprobs=[logprob for _, logprob in entry.top],
        )
        for entry in entries
    ]


def logprobs_from_proto(entries: Iterable[pb.TokenLogprobs]) -> tuple[TokenLogprobs, ...]:
    return tuple(
        TokenLogprobs(entry.logprob, tuple(zip(entry.top_ids, entry.top_logprobs, strict=True)))
        for entry in entries
    )


FIELDS = tuple(name for name in Load.__dataclass_fields__ if name != "pace")


def load_to_proto(load: Load) -> pb.Load:
    p = load.pace
    pace = pb.Pace(a=p.a, b=p.b, c=p.c, d=p.d)
    return pb.Load(**{name: getattr(load, name) for name in FIELDS}, pace=pace)


def load_from_proto(message: pb.Load) -> Load:
    """Fields in order, by position: a router hears of a load with each step of each worker."""
    m, p = message, message.pace
    return Load(
        m.running, m.waiting, m.queued_tokens, m.pages_total, m.pages_free, m.pages_cached, m.step,
        m.preemptions, m.prompt_tokens, m.cached_tokens, m.generated_tokens, m.ended,
        m.ended_tokens, m.drafts, m.drafted_tokens, m.accepted_tokens, m.decoding,
        m.context_tokens, m.step_tokens, m.prefill_room, m.taken,
        StepTime(p.a, p.b, p.c, p.d), m.draining,
    )  # fmt: skip
