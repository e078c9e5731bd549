"""Continuous batching, step by step, with a model that counts: after token t comes t + 1."""

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.pages import names_of, router_key
from raylax.proto.vocabulary import Delta, Fault, Finish, Priority, Request, Sampling, StepTime
from raylax.worker.kv.page_pool import PageChanges, PagePool
from raylax.worker.sampling.sampler import single_threaded
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.load import load_of
from raylax.worker.scheduling.outcomes import StepFailed, draw_rows
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan, Work, make_plan
from raylax.worker.speculation.proposals import Proposal
from tests.support.outputs import saying, spoiled

VOCAB = 1000
GREEDY = Sampling(temperature=0.0)
COMMON = tuple(range(100, 132))
"""Two pages."""


def count(plan: StepPlan) -> StepOutput:
    return saying((plan.batch.tokens[plan.batch.rows] + 1) % VOCAB, VOCAB)


def batch(
    pages: int = 64, tokens: int = 64, sequences: int = 4, prefix_cache: bool = True
) -> Batch:
    return Batch(PagePool(pages, prefix_cache), StepLimits(tokens, sequences), count)


def ask(
    id: str, prompt: tuple[int, ...], max_tokens: int = 20, deadline: float | None = None
) -> Sequence:
    return Sequence(Request(id, prompt, max_tokens, GREEDY), deadline)


def ask_for(tenant: str, id: str, prompt: tuple[int, ...], max_tokens: int = 20) -> Sequence:
    return Sequence(Request(id, prompt, max_tokens, GREEDY, tenant=tenant))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Poison:
    """A model that fails whenever one of these tokens is in the plan; remembers its plans."""

    def __init__(self, *tokens: int) -> None:
        self.tokens = set(tokens)
        self.sizes: list[int] = []

    def __call__(self, plan: StepPlan) -> StepOutput:
        self.sizes.append(len(plan.batch.query_starts) - 1)
        if found := self.tokens & set(plan.batch.tokens.tolist()):
            raise FloatingPointError(f"no {found}")
        return count(plan)


def run(made: Batch) -> dict[str, list[Delta]]:
    """Until everybody has ended; in the order of their ends."""
    said: dict[str, list[Delta]] = {}
    ended: list[str] = []
    for _ in range(2000):
        if made.idle:
            return {id: said[id] for id in ended}
        try:
            deltas = made.step()
        except StepFailed as failure:
            deltas = [
                Delta(id, finish=Finish.ERROR, error=str(failure)) for id in failure.request_ids
            ]
        for delta in deltas:
            said.setdefault(delta.request_id, []).append(delta)
            ended += [delta.request_id] if delta.finish else []
    raise AssertionError(f"no end: {made.pool}, {len(made.waiting)} waiting")


def tokens(deltas: list[Delta]) -> list[int]:
    return [token for delta in deltas for token in delta.token_ids]


def test_decodes_and_a_prefill_in_one_step() -> None:
    made = batch()
    made.add(ask("a", (1, 2, 3)))
    made.step()
    made.add(ask("b", (7, 8, 9)))
    deltas = made.step()

    assert {delta.request_id: delta.token_ids for delta in deltas} == {"a": (5,), "b": (10,)}


def test_a_long_prompt_is_cut_and_does_not_stop_the_others() -> None:
    """One token comes of every step while it is computed."""
    made = batch(tokens=32)
    made.add(ask("talks", (1,)))
    made.step()
    made.add(ask("long", tuple(range(100, 200)), 2))

    assert [[d.request_id for d in made.step()] for _ in range(4)] == [
        *[["talks"]] * 3,
        ["talks", "long"],
    ]


def test_in_turns_a_long_prompt_takes_every_other_step() -> None:
    """Chunked: a decode waits for one chunk at most, and the first token comes as soon."""
    made = Batch(PagePool(64), StepLimits(32, 4, chunked=True), count)
    made.add(ask("talks", (1,)))
    made.step()
    made.add(ask("long", tuple(range(100, 200)), 2))

    assert [[d.request_id for d in made.step()] for _ in range(8)] == [
        *[[], ["talks"]] * 3,
        ["long"],
        ["talks", "long"],
    ]


def test_pages_of_some_sequences_are_kept_after_their_end() -> None:
    """Those that ended last; with none, who runs beside it finds them nevertheless."""
    cached = {}
    for kept in (0, 2, None):
        made = Batch(PagePool(64, keep=kept), StepLimits(64, 4), count)
        for id in range(5):
            made.add(ask(f"{id}", tuple(range(100 * id, 100 * id + 40)), 2))
            run(made)
        cached[kept] = made.pool.cached
        made.add(ask("first", (*COMMON, 1), 3))
        made.step()
        made.add(ask("beside", (*COMMON, 2), 1))
        assert max(delta.cached_tokens for delta in run(made)["beside"]) == len(COMMON)

    assert cached == {0: 0, 2: 4, None: 10}


def test_pages_shared_by_many_do_not_come_back_twice() -> None:
    """Four sequences on the same two pages need a third at once, and there is none: who gives way
    frees its own page, not the shared ones."""
    made = batch(pages=6)
    made.add(ask("first", COMMON, 1))
    run(made)
    prompts = {f"r{i}": (*COMMON, *range(200 + 20 * i, 208 + 20 * i)) for i in range(4)}
    for id, prompt in prompts.items():
        made.add(ask(id, prompt))
    said = run(made)

    assert made.counters.preemptions > 0
    for i in range(4):
        assert tokens(said[f"r{i}"]) == list(range(208 + 20 * i, 228 + 20 * i))
    assert made.pool.used == 0


def test_the_oldest_is_never_preempted() -> None:
    """So somebody always comes to an end."""
    made = batch(pages=8)
    for i in range(4):
        made.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 20)), 60))
    ends = list(run(made))

    assert ends == ["r0", "r1", "r2", "r3"]
    assert made.counters.preemptions >= 3


def test_a_preempted_one_finds_its_own_pages_again() -> None:
    """Which the client is not told: its prompt had not been cached when it came."""
    made = batch(pages=5)
    made.add(ask("old", tuple(range(30)), 30))
    made.add(ask("young", tuple(range(500, 530)), 10))
    said = run(made)

    assert made.counters.preemptions > 0
    assert tokens(said["young"]) == list(range(530, 540))
    assert [d.cached_tokens for d in said["young"]] == [0] * 10
    assert made.counters.cached_tokens == 0


def test_a_preempted_one_goes_before_those_who_wait() -> None:
    """It had its turn already."""
    made = batch(pages=5, sequences=2)
    for id, length in (("old", 30), ("young", 20), ("waits", 20)):
        made.add(ask(id, tuple(range(length)), 30))
    ends = list(run(made))

    assert made.counters.preemptions > 0
    assert ends == ["old", "young", "waits"]


def test_one_that_needs_every_page_runs_alone() -> None:
    """Again and again preempted, it still ends."""
    made = batch(pages=5)
    for i in range(3):
        made.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 10)), 70))
    said = run(made)

    assert {id: len(tokens(deltas)) for id, deltas in said.items()} == {
        "r0": 70, "r1": 70, "r2": 70
    }  # fmt: skip


def test_one_that_could_never_run_is_refused() -> None:
    """It would wait for ever, and everybody behind it."""
    made = batch(pages=5)

    with pytest.raises(ValueError, match="81 tokens needs 6 pages, there are 5"):
        made.add(ask("huge", tuple(range(20)), 61))
    assert made.idle


def test_a_known_beginning_is_shared_by_page() -> None:
    """Full pages only, and never the last token, whose logits are needed."""
    made = batch()
    made.add(ask("first", (*COMMON, 7), 1))
    run(made)
    made.add(ask("same", (*COMMON, 7), 1))
    made.add(ask("pages", COMMON, 1))
    made.add(ask("other", (*COMMON[:16], 9, *COMMON[17:]), 1))
    said = run(made)

    cached = {id: deltas[0].cached_tokens for id, deltas in said.items()}
    assert cached == {"same": 32, "pages": 16, "other": 16}
    assert made.counters.cached_tokens == 64


def test_answers_are_shared_as_prompts_are() -> None:
    """The next turn of a conversation begins with all that was said."""
    made = batch()
    made.add(ask("turn", COMMON[:8], 40))
    answer = tokens(run(made)["turn"])
    made.add(ask("next", (*COMMON[:8], *answer, 5), 1))

    assert run(made)["next"][0].cached_tokens == 32


def test_without_a_prefix_cache_nothing_is_shared() -> None:
    made = batch(prefix_cache=False)
    for _ in range(2):
        made.add(ask("r", (*COMMON, 7), 1))
        said = run(made)

    assert said["r"][0].cached_tokens == 0
    assert made.pool.free == made.pool.total


def test_a_stop_token_ends_and_is_not_said() -> None:
    made = batch()
    made.add(Sequence(Request("r", (1, 2), 20, GREEDY, stop_token_ids=frozenset({6}))))
    said = run(made)["r"]

    assert tokens(said) == [3, 4, 5]
    assert said[-1] == Delta("r", finish=Finish.STOP)


def test_history_is_not_said_again() -> None:
    made = batch()
    made.add(Sequence(Request("r", (1, 2), 6, GREEDY, history=(3, 4))))

    assert tokens(run(made)["r"]) == [5, 6, 7, 8]


def test_deadlines_of_those_who_run_and_who_wait() -> None:
    made = batch(sequences=1)
    for id, deadline in (("runs", 5.0), ("waits", 3.0), ("patient", None), ("late", 9.0)):
        made.add(ask(id, (1, 2), deadline=deadline))
    made.step()

    assert made.expire(2.9) == []
    assert made.expire(3.0) == ["waits"]
    assert made.expire(4.0) == []
    assert made.expire(8.0) == ["runs"]
    assert [one.request.id for one in made.everyone()] == ["patient", "late"]
    assert made.pool.used == 0


def test_who_fails_alone_is_to_blame() -> None:
    """Its pages come back, and who had no part in the step goes on."""
    made = batch(tokens=4)
    for i in range(3):
        made.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 4)), 2))
    made.run = Poison(0)
    with pytest.raises(StepFailed, match="step 1 failed: FloatingPointError: no {0}") as caught:
        made.step()
    said = run(made)

    assert caught.value.request_ids == ["r0"]
    assert sorted(said) == ["r1", "r2"]
    assert made.pool.used == 0


def test_the_innocent_go_on_as_if_nothing_had_been() -> None:
    """Whether they decode or are being computed, they say what they would have said; the one to
    blame ends with an error, after the words that it had."""
    made, model = batch(tokens=32), Poison(700)
    made.run = model
    long = tuple(range(100, 200))
    for id, prompt in (("a", (1,)), ("poison", (698,)), ("b", (300, 301)), ("long", long)):
        made.add(ask(id, prompt))
    said = run(made)

    assert {id: tokens(deltas) for id, deltas in said.items()} == {
        "a": list(range(2, 22)),
        "b": list(range(302, 322)),
        "long": list(range(200, 220)),
        "poison": [699, 700],
    }
    assert [id for id, deltas in said.items() if deltas[-1].finish is Finish.ERROR] == ["poison"]
    assert said["poison"][-1].error == "step 5 failed: FloatingPointError: no {700}"
    assert made.pool.used == 0


def test_suspects_are_tried_one_by_one() -> None:
    """Until each is known; then they share steps again, and those who wait may join."""
    made, model = batch(sequences=3), Poison(3)
    made.run = model
    for i in range(5):
        made.add(ask(f"r{i}", (10 * i + 1,), 6))
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
        made.add(ask(f"r{i}", (i,)))
    said = run(made)

    assert sorted(said) == [f"r{i}" for i in range(5)]
    assert {deltas[-1].finish for deltas in said.values()} == {Finish.ERROR}
    assert (made.idle, made.pool.free) == (True, made.pool.total)


def test_a_suspect_can_leave() -> None:
    made = batch()
    made.run = Poison(1)
    for id, prompt in (("a", (1,)), ("b", (2,))):
        made.add(ask(id, prompt, 3))
    with pytest.raises(StepFailed):
        made.step()
    made.remove("a")

    assert tokens(run(made)["b"]) == [3, 4, 5]


def without_numbers(plan: StepPlan) -> StepOutput:
    """As `count`, but what follows token 12 is no number."""
    return spoiled(count(plan), plan.batch.tokens[plan.batch.rows] == 12)


def test_logits_that_are_not_finite_end_their_own_request() -> None:
    """In the step in which they come, which is no failed one: others have their tokens of it."""
    made = batch()
    made.run = without_numbers
    for id, prompt in (("a", (1,)), ("bad", (11,)), ("b", (300, 301))):
        made.add(ask(id, prompt, 5))
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
    assert made.pool.used == 0


def test_a_draw_that_raises_ends_its_own_request() -> None:
    made = batch()
    broken = Sampling(temperature=0.0, logit_bias=((VOCAB, 1.0),))
    made.add(Sequence(Request("bad", (1,), 4, broken)))
    made.add(ask("good", (5,), 2))
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


def test_pages_of_what_is_not_finite_are_not_found_again() -> None:
    """Who asks for the same beginning computes it anew."""
    made = batch()
    made.run = without_numbers
    made.add(ask("bad", (*COMMON, 12), 5))
    run(made)

    assert made.pool.cached == 0
    made.add(ask("good", (*COMMON, 7), 1))
    assert run(made)["good"][0].cached_tokens == 0


def test_each_draws_from_its_own_rows() -> None:
    """Though others have several, for their drafts, or none."""
    made = batch()
    for id, prompt in (("a", (10, 20)), ("b", (30, 40, 50)), ("chunk", (60, 70)), ("c", (80,))):
        made.add(ask(id, prompt))
    a, b, chunk, c = made.waiting
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


def test_load_counts_what_waits_for_its_prefill() -> None:
    """Of those who wait, and of prefills that have begun."""
    made = batch(tokens=8, sequences=2)
    for id, length in (("a", 20), ("b", 5), ("c", 7)):
        made.add(ask(id, tuple(range(length)), 2))
    assert (load_of(made).waiting, load_of(made).queued_tokens) == (3, 32)
    made.step()
    load = load_of(made)
    assert (load.running, load.waiting, load.queued_tokens, load.step) == (1, 2, 24, 1)
    assert load.pages_used == 2
    run(made)
    load = load_of(made)

    assert (load.running, load.waiting, load.queued_tokens, load.pages_used) == (0, 0, 0, 0)
    assert (load.prompt_tokens, load.generated_tokens) == (32, 6)


def test_load_does_not_count_what_is_known_already() -> None:
    """A router that saw whole prompts would avoid the worker that has them."""
    made = batch()
    made.add(ask("a", COMMON + (1,), 2))
    run(made)
    made.add(ask("b", COMMON + (5, 6, 7), 2))
    made.add(ask("c", COMMON, 2))  # at least its last token is computed, with its page

    assert load_of(made).queued_tokens == 3 + 16
    run(made)
    assert load_of(made).queued_tokens == 0


def test_load_counts_a_preempted_one_by_what_it_lost() -> None:
    """Of its pages those are found again that nobody has taken."""
    made = batch(pages=6)
    made.add(ask("old", tuple(range(40)), 40))
    made.add(ask("new", tuple(range(200, 240)), 40))
    while not made.counters.preemptions:
        made.step()
    (new,) = made.waiting
    known = len(made.pool.find(new.names)) * 16

    assert known > 0
    assert load_of(made).queued_tokens == len(new.tokens) - known
    run(made)
    assert load_of(made).queued_tokens == 0


def test_load_tells_what_the_next_step_will_carry() -> None:
    made = batch(tokens=8, sequences=3)
    made.add(ask("talks", (1, 2, 3)))
    made.step()
    made.step()
    made.add(ask("long", tuple(range(100, 120))))
    made.step()
    load = load_of(made)

    assert (load.decoding, load.context_tokens, load.step_tokens) == (1, 5, 8)
    assert load.queued_tokens == 13


def test_the_pace_is_learned_from_its_steps() -> None:
    """By the clock that it is given, as a router will reckon."""
    clock, true = Clock(), StepTime(a=5e-3, b=1e-3, c=2e-3, d=1e-5)
    made = Batch(PagePool(256), StepLimits(64, 16), count, clock)

    def timed(plan: StepPlan) -> StepOutput:
        load = load_of(made)
        prefill = len(plan.batch.tokens) - load.decoding
        clock.now += true.seconds(prefill, load.decoding, load.context_tokens)
        return count(plan)

    made.run = timed
    for i in range(40):
        prompt = tuple((7 * i + j) % VOCAB for j in range(10 + 5 * i))
        made.add(ask(f"r{i}", prompt, 2 + 3 * i))
    run(made)
    found = load_of(made).pace

    for work in ((0, 1, 100), (0, 4, 800), (0, 16, 3000), (64, 0, 0)):
        assert found.seconds(*work) == pytest.approx(true.seconds(*work), rel=0.15)


def test_changes_of_pages_are_handed_on() -> None:
    """As steps fill them."""
    made = batch()
    made.add(ask("r", (*COMMON, 5), 20))
    made.step()
    first = made.changes()
    run(made)
    later = made.changes()

    names = tuple(map(router_key, names_of((*COMMON, *range(5, 25)))))
    assert (first, later) == (PageChanges(names[:2]), PageChanges(names[2:3]))


def test_who_is_admitted_has_begun_before_the_step() -> None:
    """Told once, though it may be preempted, and told even if the step is the last."""
    said: list[str] = []
    made = Batch(PagePool(5), StepLimits(64, 4), count, began=said.extend)
    made.add(ask("old", tuple(range(30)), 30))
    made.add(ask("young", tuple(range(500, 530)), 10))
    model = Poison(0)
    made.run = model
    with pytest.raises(StepFailed):
        made.step()
    assert said == ["old", "young"]
    made.run = count
    run(made)

    assert made.counters.preemptions > 0
    assert said == ["old", "young"]


def test_a_tenant_with_many_requests_does_not_keep_others_waiting() -> None:
    """Its prompts and its answers count; who has had less is admitted first."""
    made = batch(sequences=1)
    for i in range(6):
        made.add(ask_for("many", f"m{i}", (1, 2, 3), 4))
    for i in range(2):
        made.add(ask_for("few", f"f{i}", (5, 6, 7), 4))
    ends = list(run(made))

    assert ends == ["m0", "f0", "m1", "f1", "m2", "m3", "m4", "m5"]


def test_answers_count_twice() -> None:
    """Forty tokens of an answer are as much as eighty of a prompt."""
    made = batch(sequences=1)
    made.add(ask_for("talks", "t0", (1,), 40))
    made.step()
    made.add(ask_for("talks", "t1", (1,), 1))
    for i in range(12):
        made.add(ask_for("reads", f"r{i}", tuple(range(10)), 1))
    ends = list(run(made))

    assert ends.index("t1") in (7, 8, 9)


def urgent(id: str, first: int, priority: Priority) -> Sequence:
    prompt = tuple(range(first, first + 20))
    return Sequence(Request(id, prompt, 60, GREEDY, priority=priority))


def test_the_urgent_go_first_and_stay() -> None:
    """They are admitted before all others, and others make room for them, who were there first."""
    made = batch(pages=8)
    made.add(urgent("low", 0, Priority.LOW))
    made.step()
    made.add(urgent("normal", 200, Priority.NORMAL))
    made.add(urgent("high", 100, Priority.HIGH))
    said = run(made)

    assert made.counters.preemptions > 0
    assert list(said) == ["high", "normal", "low"]
    assert tokens(said["low"]) == list(range(21, 80))


def test_nobody_waits_for_ever() -> None:
    """After two minutes the least urgent has its turn, though urgent ones come all the time."""
    clock = Clock()
    made = Batch(PagePool(64), StepLimits(64, 1), count, clock)
    made.add(urgent("low", 0, Priority.LOW))
    begun: list[str] = []
    made.began = begun.extend
    while "low" not in begun:
        assert clock.now < 100.0 + 200.0
        made.add(urgent(f"high{clock.now}", 100, Priority.HIGH))
        made.step()
        clock.now += 1.0

    assert clock.now >= 100.0 + 120.0


def test_who_gives_way_goes_on_from_its_pages() -> None:
    """It loses what its last page had, and nothing that it has said."""
    sizes = dict[int, list[int]]()

    def noted(plan: StepPlan) -> StepOutput:
        sizes[plan.number] = np.diff(plan.batch.query_starts).tolist()
        return count(plan)

    made = Batch(PagePool(64), StepLimits(64, 2), noted)
    made.add(ask_for("greedy", "old", (1,), 60))
    made.add(ask_for("greedy", "young", tuple(range(2, 22)), 60))
    for _ in range(10):
        made.step()
    made.add(ask_for("small", "s", (5, 6), 2))
    said = run(made)

    assert list(said) == ["s", "old", "young"]
    assert made.counters.preemptions == 1
    assert sizes[11] == [2] or sizes[11] == [1, 2]
    assert max(sizes[13]) == 30 - 16  # of 20 and 10 tokens one page is found
    assert tokens(said["young"]) == list(range(32, 82))
    assert [delta.cached_tokens for delta in said["young"]] == [0] * 50


def test_tenants_with_their_due_do_not_take_it_from_each_other() -> None:
    """However often they ask: nobody is preempted but once, when the other one came."""
    made = batch(sequences=4, pages=256)
    for i in range(20):
        made.add(ask_for("a", f"a{i}", (1, 2, 3), 20))
    for _ in range(3):
        made.step()
    for i in range(20):
        made.add(ask_for("b", f"b{i}", (1, 2, 3), 20))
    run(made)

    assert made.counters.preemptions == 2


@pytest.mark.parametrize("pages", [256, 90], ids=["few seats", "few pages"])
def test_more_tenants_than_fit_take_turns(pages: int) -> None:
    """Though nobody has more than its due, and no answer is near its end."""
    made = batch(pages=pages, sequences=2 if pages == 256 else 4)
    for at, tenant in enumerate("abc"):
        made.add(ask_for(tenant, tenant, tuple(range(at, 500 + at)), 800))
    begun = dict[str, int]()
    ended = dict[str, int]()
    for number in range(8000):
        for delta in made.step():
            begun.setdefault(delta.request_id, number)
            if delta.finish:
                ended[delta.request_id] = number
        if made.idle:
            break

    assert max(begun.values()) < 700
    assert ended.keys() == set("abc")
    assert 2 <= made.counters.preemptions <= 12
