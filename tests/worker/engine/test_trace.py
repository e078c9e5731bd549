"""Traces, in the format that Chrome reads."""

import json
from pathlib import Path

from raylax.worker.api.mlc_engine import MLCEngine
from raylax.worker.config import EngineConfig
from raylax.worker.engine.trace import TraceRecorder


def test_old_events_make_room() -> None:
    trace = TraceRecorder(most=3)
    for i in range(5):
        trace.add("r", str(i))
    events = json.loads(trace.dump_json())["traceEvents"]

    assert [event["name"] for event in events] == ["2", "3", "4"]


def test_a_request_is_traced_from_its_coming_to_its_end(checkpoint: Path) -> None:
    """Instants of one thread, named by the request, in order of time."""
    config = EngineConfig(max_single_sequence_length=64)
    with MLCEngine(str(checkpoint), engine_config=config, enable_tracing=True) as engine:
        engine.completions.create(prompt=[5, 6], max_tokens=3, temperature=0, ignore_eos=True)
        assert engine.state.trace is not None
        events = json.loads(engine.state.trace.dump_json())["traceEvents"]

    assert [event["name"] for event in events] == ["add", "began", "token", "token", "length"]
    assert {event["ph"] for event in events} == {"i"}
    assert len({event["tid"] for event in events}) == 1
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)


def test_a_request_has_the_trace_that_it_belongs_to() -> None:
    """It is told with the first event; of the others the request tells."""
    trace = TraceRecorder()
    trace.add("r", "add", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    trace.add("r", "began")
    first, second = json.loads(trace.dump_json())["traceEvents"]

    assert first["args"] == {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    assert "args" not in second
