"""What an engine that is traced has recorded: of each request, of its thread, of its rank."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.api.mlc_engine import MLCEngine
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.scheduling.readiness import Need
from tests.support.engines import ONE, Answers, Gate, running_engine, until
from tests.support.traces import checked, named, spans_of

GREEDY = Sampling(temperature=0.0)
SAME = Sampling(temperature=0.0, logit_bias=((65, 100.0),))
"""The answer is one token again and again, so that drafts are right."""
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextmanager
def traced(
    checkpoint: Path, most: int = 1000, **settings: Any
) -> Iterator[tuple[ThreadedEngine, Answers, TraceRecorder]]:
    trace = TraceRecorder(most=most)
    config = ONE.complete(**settings)
    with running_engine(checkpoint, config, trace=trace) as (engine, answers):
        yield engine, answers, trace


def ask(name: str, prompt: int = 8, max_tokens: int = 4, **more: Any) -> Request:
    more = {"sampling": GREEDY, **more}
    return Request(name, tuple(range(10, 10 + prompt)), max_tokens, **more)


def test_a_request_is_traced_from_its_coming_to_its_end(checkpoint: Path) -> None:
    """Its wait, each chunk of its prompt and each token, one behind another, in the step that
    computed it."""
    with traced(checkpoint, prefill_chunk_size=16, speculative_mode="disable") as (
        engine, answers, trace,
    ):  # fmt: skip
        engine.add_request(ask("r", prompt=40, traceparent=PARENT))
        answers.wait_for("r")
        file = checked(trace.dump_json())

    assert spans_of(file, "r") == ["r", "queue", *["prefill"] * 3, *["decode"] * 3]
    (whole,) = named(file, "r")
    assert whole["args"] == {
        "prompt_tokens": 40, "history_tokens": 0, "cached_tokens": 0, "generated_tokens": 4,
        "finish": "length", "trace_id": PARENT[3:35],
    }  # fmt: skip
    chunks = [event["args"] for event in named(file, "prefill")]
    assert [(one["position"], one["tokens"]) for one in chunks] == [(0, 16), (16, 16), (32, 8)]
    steps = [event["args"]["step"] for event in named(file, "step")]
    assert [one["args"]["step"] for one in named(file, "prefill") + named(file, "decode")] == steps
    assert len(steps) == 6


def test_a_step_is_divided_into_what_its_thread_does(checkpoint: Path) -> None:
    """Parts that follow one another, and fill it; the rank runs while the thread waits for it."""
    with traced(checkpoint) as (engine, answers, trace):
        engine.add_request(ask("r", max_tokens=1))
        answers.wait_for("r")
        file = checked(trace.dump_json())
    (step,), threads = named(file, "step"), file["traceEvents"]
    others = [step, *named(file, "load model")]
    inside = [e for e in threads if e["ph"] == "X" and e["tid"] == 1 and e not in others]
    rank, run = (next(e for e in named(file, "run") if e["tid"] == tid) for tid in (2, 1))

    assert [event["name"] for event in inside] == ["draft", "decide", "run", "draw", "commit"]
    assert sum(event["dur"] for event in inside) == pytest.approx(step["dur"], abs=0.02)
    assert run["ts"] <= rank["ts"] and rank["dur"] <= run["dur"]
    assert rank["args"] == {"step": 1, "tokens": 8, "rows": 1}
    lanes = {e["tid"]: e["args"]["name"] for e in threads if e["name"] == "thread_name"}
    assert lanes == {1: "engine thread", 2: "rank 0"}
    assert len(named(file, "load model")) == 1


def test_drafts_are_told_with_how_many_were_right(checkpoint: Path) -> None:
    """Steps that verify some are called so, and add up to what the request is told."""
    with traced(checkpoint, spec_draft_length=3) as (engine, answers, trace):
        engine.add_request(ask("r", max_tokens=30, sampling=SAME))
        answers.wait_for("r")
        file = checked(trace.dump_json())
    (whole,), verified = named(file, "r"), [one["args"] for one in named(file, "verify")]
    (end,) = [delta for delta in answers.deltas["r"] if delta.finish]

    assert end.accepted > 0
    assert sum(one["accepted"] for one in verified) == whole["args"]["accepted"] == end.accepted
    assert sum(one["drafted"] for one in verified) == whole["args"]["drafted"] == end.drafted
    assert len(verified) == whole["args"]["drafts"] == end.drafts


def test_who_gives_way_waits_again(checkpoint: Path) -> None:
    """What it had is told, and the cached pages that made room for others."""
    with traced(
        checkpoint, max_total_sequence_length=128, max_single_sequence_length=112,
        speculative_mode="disable",
    ) as (engine, answers, trace):  # fmt: skip
        engine.add_request(ask("old", prompt=60, max_tokens=40))
        engine.add_request(ask("young", prompt=40, max_tokens=40, page_root=b"another"))
        answers.wait_for("old", "young")
        file = checked(trace.dump_json())
    happened = spans_of(file, "young")
    (had,) = [event["args"] for event in named(file, "preempted")]

    assert happened.count("queue") == 2
    assert happened.index("preempted") < len(happened) - 1 - happened[::-1].index("queue")
    assert had["pages"] > 0 < had["computed_tokens"]
    assert sum(event["args"]["pages"] for event in named(file, "evict")) > 0


def test_pages_that_come_and_go_are_told(checkpoint: Path) -> None:
    """And who waits for them."""
    with traced(checkpoint) as (engine, answers, trace):
        engine.add_request(ask("r", prompt=40))
        answers.wait_for("r")
        batch = engine._slot.loaded().batch
        names = list(batch.roster.pool._page_of)
        contents = engine.read_pages(names)
        engine.reset()
        assert engine.write_pages(names, contents) == len(names) == 2
        assert engine.done["pages_fetched"] == 2
        engine.add_request(ask("waits", prompt=40), frozenset({Need.PAGES}))
        engine.meet_need("waits", Need.PAGES)
        answers.wait_for("waits")
        file = checked(trace.dump_json())

    assert [event["args"] for event in named(file, "hand pages out")] == [{"asked": 2, "pages": 2}]
    assert [event["args"] for event in named(file, "take pages in")] == [{"pages": 2}]
    assert spans_of(file, "waits")[:4] == ["waits", "fetch pages", "queue", "prefill"]
    (queued,) = [e for e in named(file, "queue") if e["id"] == "waits"]
    assert queued["args"] == {"cached_tokens": 32}


def test_what_goes_on_is_shown_as_far_as_it_has_come(checkpoint: Path) -> None:
    with traced(checkpoint, max_num_sequence=1) as (engine, answers, trace):
        with Gate(engine) as gate:
            engine.add_request(ask("runs"))
            gate.let(2)
            until(lambda: gate.holds and answers.deltas.get("runs"))
            engine.add_request(ask("waits"))
            file = checked(trace.dump_json())
        answers.wait_for("runs", "waits")
    open_ = [e for e in named(file, "runs") if e["ph"] == "b"]

    assert [event["args"]["generated_tokens"] for event in open_] == [2]
    assert "finish" not in open_[0]["args"]
    ended = [event["name"] for event in file["traceEvents"] if event["ph"] == "e"]
    assert {"runs", "waits"}.isdisjoint(ended)


def test_the_last_events_are_kept_and_others_counted(checkpoint: Path) -> None:
    """What is left can still be shown."""
    with traced(checkpoint, most=50) as (engine, answers, trace):
        for i in range(10):
            engine.add_request(ask(f"r{i}", max_tokens=9))
            answers.wait_for(f"r{i}")
        file = checked(trace.dump_json())
    (told,) = file["metadata"]["processes"]

    assert told["events_kept"] == 50
    assert told["events_dropped"] > 100
    assert spans_of(file, "r0") == []
    assert spans_of(file, "r9")[0] == "r9"


def test_a_request_that_was_aborted_or_failed_says_so(checkpoint: Path) -> None:
    with traced(checkpoint) as (engine, answers, trace):
        engine.add_request(ask("late", deadline_s=0.0))
        with Gate(engine):
            engine.add_request(ask("left", max_tokens=60))
            engine.abort_request("left")
        answers.wait_for("late", "left")
        file = checked(trace.dump_json())
    ends = {name: named(file, name)[0]["args"]["finish"] for name in ("late", "left")}

    assert ends == {"late": "error", "left": "abort"}


def test_an_engine_of_python_is_traced_if_it_is_asked_to(checkpoint: Path) -> None:
    """After its end, too."""
    config = EngineConfig(max_single_sequence_length=64)
    with MLCEngine(str(checkpoint), engine_config=config, enable_tracing=True) as engine:
        reply = engine.completions.create(prompt=[5, 6], max_tokens=3, ignore_eos=True)
        trace = engine.state.trace
    assert trace is not None

    assert spans_of(checked(trace.dump_json()), f"{reply.id}/0/0")[:2] == [
        f"{reply.id}/0/0", "queue",
    ]  # fmt: skip
