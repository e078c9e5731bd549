"""Law 2. Every accepted request ends exactly once, whatever happens."""

from collections.abc import Callable
from pathlib import Path

import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.errors import InvalidRequest, Overloaded, WorkerUnavailable
from raylax.proto.vocabulary import Finish, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.scheduling.readiness import Need
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.engines import Gate, request, running_engine, until

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, max_waiting=3)


def fill(engine: ThreadedEngine, count: int = 4, max_tokens: int = 200) -> list[str]:
    names = [f"r{i}" for i in range(count)]
    for i, name in enumerate(names):
        engine.add_request(request(name, [5 + i] * 20, max_tokens))
    return names


def test_by_its_length(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        engine.add_request(request("r", [5, 6, 7], max_tokens=9))
        answers.wait_for("r")

        assert answers.ends("r") == [Finish.LENGTH]
        assert len(answers.tokens("r")) == 9


def test_by_a_stop_token_which_is_not_part_of_it(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        engine.add_request(request("free", [5, 6, 7]))
        answers.wait_for("free")
        said = answers.tokens("free")
        stop = said[3]
        until = said[: said.index(stop)]
        engine.add_request(
            Request("r", (5, 6, 7), 12, Sampling(temperature=0.0), stop_token_ids=frozenset({stop}))
        )
        answers.wait_for("r")

        assert answers.ends("r") == [Finish.STOP]
        assert answers.tokens("r") == until


def test_by_abort_once(checkpoint: Path) -> None:
    """Aborting again, or somebody unknown, says nothing more."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        with Gate(engine) as gate:
            fill(engine)
            gate.let(1)
            answers.wait_for_tokens("r0", 1)
            for name in ("r0", "r0", "nobody"):
                engine.abort_request(name)
        answers.wait_for("r0", "r1", "r2", "r3")

        assert answers.ends("r0") == [Finish.ABORT]
        assert "nobody" not in answers.deltas


def test_by_its_deadline(checkpoint: Path) -> None:
    """Even one that has not begun."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        late = Request("late", (5, 6), 200, Sampling(temperature=0.0), deadline_s=0.0)
        engine.add_request(late)
        answers.wait_for("late")

        assert answers.ends("late") == [Finish.ERROR]
        assert "deadline" in (answers.deltas["late"][-1].error or "")


NEEDS_PAGES = frozenset({Need.PAGES})


def test_one_that_is_never_ready_ends_by_its_deadline(checkpoint: Path) -> None:
    """The engine thread, which has nothing else to do, sleeps until then."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        wait, waits = engine._commands.carry_out, list[float | None]()

        def counted(wait_s: float | None) -> None:
            waits.append(wait_s)
            wait(wait_s)

        engine._commands.carry_out = counted  # type: ignore[method-assign]
        never = Request("never", (5, 6), 20, Sampling(temperature=0.0), deadline_s=0.3)
        engine.add_request(never, NEEDS_PAGES)
        answers.wait_for("never")
        load = engine.load()

    assert answers.ends("never") == [Finish.ERROR]
    assert "deadline" in (answers.deltas["never"][-1].error or "")
    assert (load.step, load.waiting, load.taken) == (0, 0, 1)
    assert len(waits) < 10


@pytest.mark.parametrize("others", [0, 2])
def test_one_that_is_never_ready_ends_as_those_that_wait_do(checkpoint: Path, others: int) -> None:
    """By abort, by reset, by reload and with the engine; whether others run or not."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        for i in range(others):
            engine.add_request(request(f"r{i}", [5 + i] * 20, 200))
        loaded = CONFIG.complete(model=str(checkpoint), mode="server")
        ends: dict[str, Callable[[], object]] = {
            "abort": lambda: engine.abort_request("abort"),
            "reset": engine.reset,
            "reload": lambda: engine.reload(loaded),
        }
        for name, end in ends.items():
            engine.add_request(request(name, [7] * 20), NEEDS_PAGES)
            end()
            answers.wait_for(name)
            engine.meet_need(name, Need.PAGES)  # nobody's any more
        engine.add_request(request("end", [7] * 20), NEEDS_PAGES)

    for name in ("abort", "reset", "reload", "end"):
        assert answers.ends(name) == [Finish.ABORT]
        assert answers.tokens(name) == []


def test_a_deadline_may_be_as_late_as_anybody_likes(checkpoint: Path) -> None:
    """Later than a thread can sleep, too."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        patient = Request("r", (5, 6), 3, Sampling(temperature=0.0), deadline_s=1e12)
        number = engine.add_request(patient, NEEDS_PAGES)
        wait_until_taken(engine, number)
        engine.meet_need("r", Need.PAGES)
        answers.wait_for("r")

    assert answers.ends("r") == [Finish.LENGTH]


def wait_until_taken(engine: ThreadedEngine, number: int) -> None:
    until(lambda: engine.load().taken >= number)


def test_one_that_becomes_ready_late_says_what_it_would_have_said(checkpoint: Path) -> None:
    """While others run, and while nobody does; until then the load counts it as waiting."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        engine.add_request(request("prompt", [5, 6, 7]))
        answers.wait_for("prompt")
        for name, other in (("late", False), ("later", True)):
            number = engine.add_request(request(name, [5, 6, 7]), NEEDS_PAGES)
            if other:
                engine.add_request(request("other", [9] * 20))
                answers.wait_for("other")
            wait_until_taken(engine, number)
            assert (engine.load().waiting, answers.deltas.get(name)) == (1, None)
            engine.meet_need(name, Need.PAGES)
            answers.wait_for(name)

    assert answers.ends("late") == answers.ends("later") == [Finish.LENGTH]
    assert answers.tokens("late") == answers.tokens("later") == answers.tokens("prompt")


def test_by_the_end_of_the_engine(checkpoint: Path) -> None:
    """Running, waiting and just accepted: all are told."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        names = fill(engine, count=7)

    assert [len(answers.ends(name)) for name in names] == [1] * 7
    with pytest.raises(WorkerUnavailable, match="terminated"):
        engine.add_request(request("after", [5]))


def test_by_reset_and_by_reload(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        before = fill(engine, count=2)
        engine.reset()
        answers.wait_for(*before)
        engine.add_request(request("again", [5] * 20, 200))
        engine.reload(CONFIG.complete(model=str(checkpoint), mode="server"))
        answers.wait_for("again")

        assert all(len(answers.ends(name)) == 1 for name in (*before, "again"))
        assert engine.load().pages_used == 0


def fail_steps(engine: ThreadedEngine, count: int) -> None:
    """The next `count` steps raise, as a broken kernel would."""
    batch = engine._slot.loaded().batch
    run, left = batch.run, count

    def broken(plan: StepPlan) -> object:
        nonlocal left
        left -= 1
        if left >= 0:
            raise FloatingPointError("broken on purpose")
        return run(plan)

    batch.run = broken  # type: ignore[assignment]


def test_by_a_step_that_fails_and_the_next_request_is_served(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        fail_steps(engine, 1)
        engine.add_request(request("unlucky", [5] * 20))
        answers.wait_for("unlucky")
        engine.add_request(request("lucky", [5] * 20))
        answers.wait_for("lucky")

        assert answers.ends("unlucky") == [Finish.ERROR]
        assert "broken on purpose" in (answers.deltas["unlucky"][-1].error or "")
        assert answers.ends("lucky") == [Finish.LENGTH]
        assert engine.fault is None
        assert engine.load().pages_used == 0


def test_a_step_that_fails_ends_who_is_to_blame(checkpoint: Path) -> None:
    """Those who shared it say the same tokens as without it, and the engine counts as healthy.
    Steps are full, so that one has all of what is poison."""
    full = CONFIG.complete(target_itl_ms=0)
    with running_engine(checkpoint, full) as (engine, answers):
        for i in range(3):
            engine.add_request(request(f"alone{i}", [5 + i] * 20, 40))
            answers.wait_for(f"alone{i}")
        batch = engine._slot.loaded().batch
        run, sizes = batch.run, list[int]()

        def poisoned(plan: StepPlan) -> StepOutput:
            if (plan.batch.tokens == 98).sum() >= 20:
                sizes.append(len(plan.batch.kv_lengths))
                raise FloatingPointError("no such tokens")
            return run(plan)

        batch.run = poisoned
        with Gate(engine) as gate:
            for i in range(3):
                engine.add_request(request(f"shared{i}", [5 + i] * 20, 40))
            gate.let(2)
            answers.wait_for_tokens("shared0", 1)
            engine.add_request(request("poison", [98] * 20, 40))
        answers.wait_for("poison", *(f"shared{i}" for i in range(3)))

        assert answers.ends("poison") == [Finish.ERROR]
        assert "no such tokens" in (answers.deltas["poison"][-1].error or "")
        for i in range(3):
            assert answers.tokens(f"shared{i}") == answers.tokens(f"alone{i}")
        assert sizes == [4, 1]
        assert engine.fault is None
        assert engine.load().pages_used == 0


def test_everybody_is_told_when_every_step_fails(checkpoint: Path) -> None:
    """One after the other, and the engine says that it is broken."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        with Gate(engine):
            names = fill(engine, count=4)
            fail_steps(engine, 1000)
        answers.wait_for(*names)

        assert all(answers.ends(name) == [Finish.ERROR] for name in names)
        assert engine.fault is not None and "steps in a row failed" in engine.fault


def test_an_engine_that_keeps_failing_says_so(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        fail_steps(engine, 3)
        for i in range(3):
            engine.add_request(request(f"r{i}", [5] * 20))
            answers.wait_for(f"r{i}")

        assert engine.fault == "3 steps in a row failed"


def test_what_cannot_be_accepted_is_refused_in_words(checkpoint: Path) -> None:
    """And leaves no trace."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        with pytest.raises(InvalidRequest, match="prompt has 256 tokens, the limit is 255"):
            engine.add_request(request("long", [5] * 256))
        with pytest.raises(InvalidRequest, match="token id 99 is outside the vocabulary of 99"):
            engine.add_request(request("odd", [5, 99]))
        with pytest.raises(InvalidRequest, match="must not be empty"):
            engine.add_request(request("empty", []))

        assert answers.deltas == {}


def test_a_full_queue_refuses_and_a_name_is_unique(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        names = fill(engine, count=7)
        with pytest.raises(InvalidRequest, match="r0 is already running"):
            engine.add_request(request("r0", [5]))
        with pytest.raises(Overloaded, match="at most 7 requests may run or wait"):
            engine.add_request(request("r7", [5]))
        answers.wait_for(*names)
