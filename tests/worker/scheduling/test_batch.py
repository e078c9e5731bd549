"""Continuous batching, step by step."""

import pytest

from raylax.proto.vocabulary import (
    Cuts,
    Delta,
    Fault,
    Finish,
    Priority,
    Request,
    Sampling,
    StepTime,
)
from raylax.worker.itl_targets import TargetsMs
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.sampling.sampler import single_threaded
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.decision.targets import TIMES_QUIET, Targets
from raylax.worker.scheduling.outcomes import StepFailed, draw_rows
from raylax.worker.scheduling.pace.prefill_time import PrefillTime
from raylax.worker.scheduling.pace.step_time import Times
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import Work, make_plan
from raylax.worker.speculation.proposals import Proposal
from tests.support.counting_model import (
    GREEDY,
    VOCAB,
    Poison,
    ask,
    batch,
    count,
    run,
    tokens,
    without_numbers,
)

KNOWN = Times(StepTime(a=0.01, c=0.002), PrefillTime(token=0.001), 512, decoded=True)
"""12 ms for one that decodes, and 1 ms more for each token of a prompt."""


def test_decodes_and_a_prefill_in_one_step() -> None:
    made = batch()
    made.roster.add(ask("a", (1, 2, 3)))
    made.step()
    made.roster.add(ask("b", (7, 8, 9)))
    deltas = made.step()

    assert {delta.request_id: delta.token_ids for delta in deltas} == {"a": (5,), "b": (10,)}


def test_a_long_prompt_is_cut_and_does_not_stop_the_others() -> None:
    """One token comes of every step while it is computed."""
    made = batch(tokens=32)
    made.roster.add(ask("talks", (1,)))
    made.step()
    made.roster.add(ask("long", tuple(range(100, 200)), 2))

    assert [[d.request_id for d in made.step()] for _ in range(4)] == [
        *[["talks"]] * 3,
        ["talks", "long"],
    ]


def test_in_turns_a_long_prompt_takes_every_other_step() -> None:
    """Chunked: a decode waits for one chunk at most, and the first token comes as soon."""
    made = Batch(Roster(PagePool(64)), StepLimits(32, 4, chunked=True), count)
    made.roster.add(ask("talks", (1,)))
    made.step()
    made.roster.add(ask("long", tuple(range(100, 200)), 2))

    assert [[d.request_id for d in made.step()] for _ in range(8)] == [
        *[[], ["talks"]] * 3,
        ["long"],
        ["talks", "long"],
    ]


def test_a_long_prompt_leaves_the_steps_of_others_short() -> None:
    """Where somebody waits for the next token it is computed in chunks for which the target has
    time, else by full steps."""
    model = Poison()  # it fails for none: it remembers
    limits = StepLimits(512, 4, itl_s=Targets.of(50))
    made = Batch(Roster(PagePool(256), lambda: 0.0), limits, model)
    made.decider.step_time.times = KNOWN
    made.roster.add(ask("alone", tuple(range(700)), 6))
    for _ in range(2):
        made.step()
    made.roster.add(ask("long", tuple(range(700, 800)), 2))
    run(made)

    assert model.tokens_of_steps == [512, 188, 1 + 38, 1 + 38, 1 + 24, 2, 1]


def test_each_class_has_a_target_of_its_own() -> None:
    """Of those that decode in a step the strictest holds; where only low ones do, a step may be as
    long as they let it."""
    model = Poison()  # it fails for none: it remembers
    limits = StepLimits(512, 4, itl_s=Targets.of({"high": 22.5, "normal": 42.5, "low": 112.5}))
    made = Batch(Roster(PagePool(256), lambda: 0.0), limits, model)
    made.decider.step_time.times = KNOWN._replace(step=StepTime(a=0.012))
    for priority, answer in zip(Priority, (3, 5, 7), strict=True):
        request = Request(priority.name, (1,), answer, GREEDY, priority=priority)
        made.roster.add(Sequence(request))
    made.step()
    made.roster.add(ask("long", tuple(range(100, 500)), 2))
    run(made)

    assert model.tokens_of_steps == [3, *[3 + 10] * 2, *[2 + 30] * 2, *[1 + 100] * 2, 120, 1]


def knowing(target_ms: TargetsMs) -> Batch:
    """One with this target, that has learned what steps take."""
    limits = StepLimits(64, 4, itl_s=Targets.of(target_ms))
    made = Batch(Roster(PagePool(256), lambda: 0.0), limits, count)
    made.decider.step_time.times = KNOWN
    return made


@pytest.mark.parametrize(
    ("target_ms", "cuts"),
    [
        (0, None),
        (9000, None),
        (22.5, Cuts(10, 9, 0.0225, 0)),  # 10 tokens in each step
        ("auto", Cuts(6, 5, 0.012 * TIMES_QUIET, 0)),  # 18 tokens
        (1, Cuts(99, 99, 0.001, 99)),  # an eighth: 1.7 ms; the last one counts as a decode
    ],
)
def test_who_asks_hears_how_a_prompt_was_cut(target_ms: TargetsMs, cuts: Cuts | None) -> None:
    """With its first token; of who was not cut nothing is said."""
    made = knowing(target_ms)
    made.roster.add(ask("talks", (1,), 200))
    made.step()
    made.roster.add(ask("long", tuple(range(100, 200)), 2))
    said = run(made)

    assert [one.cuts for one in said["long"]] == [
        None if cuts is None else pytest.approx(cuts), None,
    ]  # fmt: skip
    assert all(one.cuts is None for one in said["talks"])


def test_equal_prompts_that_come_together_are_computed_once() -> None:
    """The others wait for the first one's pages, and have no less of them for it; each says what it
    would have said alone."""
    model = Poison()  # it fails for none: it remembers
    made = Batch(Roster(PagePool(256), lambda: 0.0), StepLimits(64, 8), model)
    prompt = tuple(range(100, 200))
    for name in "abc":
        made.roster.add(ask(name, prompt, 3))
    made.roster.add(ask("half", prompt[:50] + (7,), 3))
    made.roster.add(ask("other", (1, 2, 3), 3))
    said = run(made)

    assert {name: tokens(deltas) for name, deltas in said.items()} == {
        **{name: [200, 201, 202] for name in "abc"}, "half": [8, 9, 10], "other": [4, 5, 6],
    }  # fmt: skip
    assert sum(model.tokens_of_steps) == 100 + 4 + 4 + 3 + 3 + 5 * 2
    assert made.roster.pool.used == 0


def test_behind_as_many_equal_prompts_as_there_are_seats_nobody_is_looked_at() -> None:
    """Thousands of them may wait, and what runs waits for who looks. All are answered."""
    made = batch(pages=256, tokens=256, sequences=4)
    for at in range(20):
        made.roster.add(ask(f"{at}", tuple(range(100, 200)), 3))
    made.roster.add(ask("other", (1, 2, 3), 3))
    made.step()

    assert [*made.roster.running] == ["0"]
    assert {id: tokens(said) for id, said in run(made).items() if id != "0"} == {
        **{f"{at}": [200, 201, 202] for at in range(1, 20)}, "other": [4, 5, 6],
    }  # fmt: skip


def test_who_waits_for_pages_does_not_wait_for_one_who_has_left() -> None:
    made = batch(tokens=32)
    for name in "ab":
        made.roster.add(ask(name, tuple(range(100, 200)), 3))
    made.step()
    made.roster.remove("a")

    assert tokens(run(made)["b"]) == [200, 201, 202]
    assert made.counters.cached_tokens == 32


def test_of_a_target_that_nobody_has_set_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Deep in a prompt what is read of it takes more than the target leaves."""
    made = knowing("auto")
    made.decider.step_time.times = KNOWN._replace(step=StepTime(a=0.01, d=1e-3))
    made.roster.add(ask("talks", (1,), 200))
    made.step()
    made.roster.add(ask("long", tuple(range(100, 400)), 2))
    said = run(made)

    assert said["long"][0].cuts is not None and said["long"][0].cuts.beyond > 0
    assert not caplog.records


def test_a_target_that_cannot_be_kept_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """With what is possible; and everybody is served."""
    made = knowing(1)
    for prompt in range(3):
        made.roster.add(ask(f"talks{prompt}", (1, 2, 3), 40))
        made.step()
    said = run(made)

    assert len(said) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "target_itl_ms=1 for high, normal cannot be kept while 1 sequences decode: beside a prompt "
        "a step takes 13.7 ms at least, of which the prompt has an eighth. Serving goes on like "
        "that"
    ]


def test_a_stop_token_ends_and_is_not_said() -> None:
    made = batch()
    made.roster.add(Sequence(Request("r", (1, 2), 20, GREEDY, stop_token_ids=frozenset({6}))))
    said = run(made)["r"]

    assert tokens(said) == [3, 4, 5]
    assert said[-1] == Delta("r", finish=Finish.STOP)


def test_history_is_not_said_again() -> None:
    made = batch()
    made.roster.add(Sequence(Request("r", (1, 2), 6, GREEDY, history=(3, 4))))

    assert tokens(run(made)["r"]) == [5, 6, 7, 8]


def test_who_fails_alone_is_to_blame() -> None:
    """Its pages come back, and who had no part in the step goes on."""
    made = batch(tokens=4)
    for i in range(3):
        made.roster.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 4)), 2))
    made.run = Poison(0)
    with pytest.raises(StepFailed, match="step 1 failed: FloatingPointError: no {0}") as caught:
        made.step()
    said = run(made)

    assert caught.value.request_ids == ["r0"]
    assert sorted(said) == ["r1", "r2"]
    assert made.roster.pool.used == 0


def test_the_innocent_go_on_as_if_nothing_had_been() -> None:
    """Whether they decode or are being computed, they say what they would have said; the one to
    blame ends with an error, after the words that it had."""
    made, model = batch(tokens=32), Poison(700)
    made.run = model
    long = tuple(range(100, 200))
    for id, prompt in (("a", (1,)), ("poison", (698,)), ("b", (300, 301)), ("long", long)):
        made.roster.add(ask(id, prompt))
    said = run(made)

    assert {id: tokens(deltas) for id, deltas in said.items()} == {
        "a": list(range(2, 22)),
        "b": list(range(302, 322)),
        "long": list(range(200, 220)),
        "poison": [699, 700],
    }
    assert [id for id, deltas in said.items() if deltas[-1].finish is Finish.ERROR] == ["poison"]
    assert said["poison"][-1].error == "step 5 failed: FloatingPointError: no {700}"
    assert made.roster.pool.used == 0


def test_suspects_are_tried_one_by_one() -> None:
    """Until each is known; then they share steps again, and those who wait may join."""
    made, model = batch(sequences=3), Poison(3)
    made.run = model
    for i in range(5):
        made.roster.add(ask(f"r{i}", (10 * i + 1,), 6))
    for _ in range(2):
        made.step()
    with pytest.raises(StepFailed) as first:
        made.step()
    with pytest.raises(StepFailed) as second:
        made.step()
    for _ in range(3):
        made.step()

    assert first.value.request_ids == []
    assert second.value.request_ids == ["r0"]
    assert model.sizes == [3, 3, 3, 1, 1, 1, 3]


def test_a_broken_model_blames_everybody() -> None:
    """One after the other: nobody waits for ever."""
    made = batch(sequences=3)
    made.run = Poison(*range(VOCAB))
    for i in range(5):
        made.roster.add(ask(f"r{i}", (i,)))
    said = run(made)

    assert sorted(said) == [f"r{i}" for i in range(5)]
    assert {deltas[-1].finish for deltas in said.values()} == {Finish.ERROR}
    assert (made.roster.idle, made.roster.pool.free) == (True, made.roster.pool.total)


def test_a_suspect_can_leave() -> None:
    made = batch()
    made.run = Poison(1)
    for id, prompt in (("a", (1,)), ("b", (2,))):
        made.roster.add(ask(id, prompt, 3))
    with pytest.raises(StepFailed):
        made.step()
    made.roster.remove("a")

    assert tokens(run(made)["b"]) == [3, 4, 5]


def test_logits_that_are_not_finite_end_their_own_request() -> None:
    """In the step in which they come, which is no failed one: others have their tokens of it."""
    made = batch()
    made.run = without_numbers
    for id, prompt in (("a", (1,)), ("bad", (11,)), ("b", (300, 301))):
        made.roster.add(ask(id, prompt, 5))
    made.step()
    ends = {delta.request_id: delta for delta in made.step()}
    said = run(made)

    assert ends["bad"].finish is Finish.ERROR
    assert ends["bad"].fault is Fault.REQUEST
    assert ends["bad"].error == (
        "the model has no next token for this request after 1 tokens of the answer: "
        "the largest logit is nan, which is not finite"
    )
    assert {id: ends[id].token_ids for id in ("a", "b")} == {"a": (3,), "b": (303,)}
    assert {id: tokens(deltas)[-1] for id, deltas in said.items()} == {"a": 6, "b": 306}
    assert made.roster.pool.used == 0


def test_a_draw_that_raises_ends_its_own_request() -> None:
    made = batch()
    broken = Sampling(temperature=0.0, logit_bias=((VOCAB, 1.0),))
    made.roster.add(Sequence(Request("bad", (1,), 4, broken)))
    made.roster.add(ask("good", (5,), 2))
    ends = {delta.request_id: delta for delta in made.step()}

    assert (ends["bad"].finish, ends["bad"].fault) == (Finish.ERROR, Fault.REQUEST)
    assert "the draw failed: IndexError" in (ends["bad"].error or "")
    assert ends["good"].token_ids == (6,)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=0.0), [6, 7, 8]),
        (Sampling(temperature=0.0, bad_words=((7,),)), [6, 0, 1, 2]),
        (Sampling(temperature=0.0, bad_words=((6, 7), (0, 1))), [6, 0, 0, 0]),
        (Sampling(temperature=0.0, min_tokens=4), [6, 7, 8, 0]),
        (Sampling(temperature=0.0, allowed_token_ids=(6, 50)), [6, 6, 6, 6]),
        (Sampling(temperature=0.7, allowed_token_ids=(50,), seed=3), [50, 50, 50, 50]),
    ],
)
@pytest.mark.parametrize("drafts", [[], [6, 7, 8], [6, 0, 0]])
def test_what_is_ruled_out_is_not_said(
    sampling: Sampling, expected: list[int], drafts: list[int]
) -> None:
    """In place of it comes the next likeliest, here the token 0; with drafts and without."""
    request = Request("a", (5,), 4, sampling, stop_token_ids=frozenset({9}))
    one = Sequence(request)
    one.proposal = Proposal(drafts)
    drawn = list[int]()
    while len(drawn) < 4 and not (drawn and drawn[-1] == 9):
        wanted = len(one.draft) + 1
        work = (one, wanted, wanted)
        plan = make_plan(1, paged([work]))
        results = draw_rows([work], count(plan), None, single_threaded())[one.request.id]
        said = [result.token for result in results if result.token is not None]
        drawn += said
        one.tokens.extend(said)
        one.computed += len(said)
        one.proposal = Proposal(drafts[len(drawn) :] if drafts[: len(drawn)] == drawn else [])

    assert [token for token in drawn[:4] if token != 9] == expected


def test_each_draws_from_its_own_rows() -> None:
    """Though others have several, for their drafts, or none."""
    made = batch()
    for id, prompt in (("a", (10, 20)), ("b", (30, 40, 50)), ("chunk", (60, 70)), ("c", (80,))):
        made.roster.add(ask(id, prompt))
    a, b, chunk, c = made.roster.waiting
    a.proposal = Proposal([21, 22, 99])
    works = [(a, 5, 4), (b, 3, 1), (chunk, 1, 0), (c, 1, 1)]
    drawn = draw_rows(works, count(make_plan(1, paged(works))), None, made.sampler)

    tokens = {id: [one.token for one in several] for id, several in drawn.items()}
    assert tokens == {"a": [21, 22, 23], "b": [51], "c": [81]}


def paged(works: list[Work]) -> list[Work]:
    """With a page for each sequence."""
    for page, (one, *_) in enumerate(works):
        one.pages.append(page)
    return works


def test_who_is_admitted_has_begun_before_the_step() -> None:
    """Told once, though it may be preempted, and told even if the step is the last."""
    said: list[str] = []
    made = Batch(Roster(PagePool(5)), StepLimits(64, 4), count, began=said.extend)
    made.roster.add(ask("old", tuple(range(30)), 30))
    made.roster.add(ask("young", tuple(range(500, 530)), 10))
    model = Poison(0)
    made.run = model
    with pytest.raises(StepFailed):
        made.step()
    assert said == ["old", "young"]
    made.run = count
    run(made)

    assert made.counters.preemptions > 0
    assert said == ["old", "young"]
