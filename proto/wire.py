"""The shared nouns as messages of engine.proto, and back: the only place of this conversion."""

from raylax.proto import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Fault, Finish, Load, Request, Sampling, TokenLogprobs


def submit_to_proto(request: Request) -> pb.Submit:
    s = request.sampling
    return pb.Submit(
        request_id=request.id,
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
        ),
        choice=request.choice,
        stop_token_ids=sorted(request.stop_token_ids),
        history=request.history,
        deadline_s=request.deadline_s,
    )


def submit_from_proto(message: pb.Submit) -> Request:
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
        ),
        choice=message.choice,
        stop_token_ids=frozenset(message.stop_token_ids),
        history=tuple(message.history),
        deadline_s=message.deadline_s if message.HasField("deadline_s") else None,
    )


def delta_to_proto(delta: Delta) -> pb.Delta:
    return pb.Delta(
        request_id=delta.request_id,
        token_ids=delta.token_ids,
        logprobs=[
            pb.TokenLogprobs(
                logprob=entry.logprob,
                top_ids=[token for token, _ in entry.top],
                top_logprobs=[logprob for _, logprob in entry.top],
            )
            for entry in delta.logprobs
        ],
        finish=delta.finish or "",
        error=delta.error or "",
        cached_tokens=delta.cached_tokens,
        fault=delta.fault,
    )


def delta_from_proto(message: pb.Delta) -> Delta:
    return Delta(
        request_id=message.request_id,
        token_ids=tuple(message.token_ids),
        logprobs=tuple(
            TokenLogprobs(entry.logprob, tuple(zip(entry.top_ids, entry.top_logprobs, strict=True)))
            for entry in message.logprobs
        ),
        finish=Finish(message.finish) if message.finish else None,
        error=message.error or None,
        cached_tokens=message.cached_tokens,
        fault=Fault(message.fault),
    )


FIELDS = tuple(Load.__dataclass_fields__)


def load_to_proto(load: Load) -> pb.Load:
    return pb.Load(**{name: getattr(load, name) for name in FIELDS})


def load_from_proto(message: pb.Load) -> Load:
    return Load(**{name: getattr(message, name) for name in FIELDS})
