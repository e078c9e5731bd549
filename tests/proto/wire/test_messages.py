"""The shared nouns survive the wire."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

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
from raylax.proto.wire import messages as wire

ids = st.integers(0, 2**31 - 1)
tokens = st.lists(ids, max_size=5).map(tuple)
reals = st.floats(-100, 100)
samplings = st.builds(
    Sampling,
    temperature=reals, top_p=reals, top_k=st.integers(0, 1000), min_p=reals,
    presence_penalty=reals, frequency_penalty=reals, repetition_penalty=reals,
    logit_bias=st.dictionaries(st.integers(0, 99), reals).map(lambda d: tuple(sorted(d.items()))),
    seed=st.integers(0, 2**64 - 1), top_logprobs=st.none() | st.integers(0, 20),
    typical_p=reals, min_tokens=st.integers(0, 99), allowed_token_ids=tokens,
    bad_words=st.lists(tokens, max_size=3).map(tuple), grammar=st.text(), grammar_after=tokens,
    thinking=st.none() | st.builds(ThinkingLimit, ids, tokens, ids, tokens),
)  # fmt: skip
requests = st.builds(
    Request,
    id=st.text(), prompt=tokens, max_tokens=st.integers(0, 2**31), sampling=samplings,
    choice=st.integers(0, 16), stop_token_ids=tokens.map(frozenset), history=tokens,
    deadline_s=st.none() | st.floats(0, 1e6), tenant=st.text(), pages_at=st.text(),
    priority=st.sampled_from(Priority), traceparent=st.text(), tracestate=st.text(),
    embed=st.booleans(), share=st.floats(0.01, 100), page_root=st.binary(max_size=16),
    pin=st.booleans(), score=st.booleans(),
    logits_of=tokens,
)  # fmt: skip
counts = st.integers(0, 2**31)
logprobs = st.builds(
    TokenLogprobs, reals, st.lists(st.tuples(st.integers(0, 99), reals), max_size=3).map(tuple)
)
cuts = st.none() | st.builds(Cuts, counts, counts, reals, counts)
said = {
    "request_id": st.text(), "token_ids": tokens, "cuts": cuts, "cached_tokens": counts,
    "logprobs": st.lists(logprobs, max_size=3).map(tuple), "began": st.booleans(),
    "prompt_logprobs": st.lists(logprobs, max_size=3).map(tuple),
}  # fmt: skip
ends = {
    "finish": st.sampled_from(Finish), "error": st.none() | st.text(min_size=1),
    "fault": st.sampled_from(Fault), "embedding": st.lists(st.floats(-1, 1, width=32)).map(tuple),
}  # fmt: skip
deltas = (st.fixed_dictionaries(said) | st.fixed_dictionaries({**said, **ends})).map(
    lambda fields: Delta(**fields)
)
loads = st.builds(
    Load,
    **{name: st.booleans() if name == "draining" else counts for name in wire.FIELDS},
    pace=st.builds(StepTime, reals, reals, reals, reals),
)


@given(requests)
def test_a_request(request: Request) -> None:
    assert wire.submit_from_proto(wire.submit_to_proto(request)) == request


@given(requests)
def test_how_a_request_goes_on_is_told_in_place_of_what_it_says(request: Request) -> None:
    """From its start, too: then it has no history, whatever it says."""
    for resumption in (wire.Resumption((5, 6), 0.5, "w:1"), wire.Resumption()):
        told = wire.submit_from_proto(wire.submit_to_proto(request, resumption=resumption))

        assert told == replace(request, **resumption._asdict())


@given(deltas)
def test_a_delta(delta: Delta) -> None:
    assert wire.delta_from_proto(wire.delta_to_proto(delta)) == delta


@given(loads)
def test_a_load(load: Load) -> None:
    assert wire.load_from_proto(wire.load_to_proto(load)) == load
