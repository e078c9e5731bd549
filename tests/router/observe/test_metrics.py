"""What routers measure of calls, and how Prometheus reads it."""

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from raylax.router.observe.exposition import Format, families, format_of
from raylax.router.observe.measures import (
    ASKED_N,
    BATCH_REQUESTS,
    BATCHES,
    BATCHES_ENDED,
    COMPUTED,
    COUNTERS,
    DECODE,
    E2E,
    GAUGES,
    GENERATION,
    HISTOGRAMS,
    INFERENCE,
    PREFILL,
    PROMPT,
    QUEUE,
    TPOT,
    BatchMeasures,
    RouterMeasures,
    added_up,
)
from raylax.router.observe.metrics import CallMetrics
from tests.support.router_rig import Rig

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "n": 2}
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"}


def samples(text: str) -> dict[str, Sample]:
    """By name, but for buckets."""
    read = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return {one.name: one for one in read if not one.name.endswith("_bucket")}


async def metrics_of(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> str:
    """After a call."""
    reply = await client.post("/v1/chat/completions", json=ASK, headers=TRACED)
    assert reply.status_code == 200, reply.text
    return (await client.get("/metrics", headers=headers)).text


async def test_a_call_is_measured_from_its_arrival_to_its_end(client: httpx.AsyncClient) -> None:
    """Its requests each, by vLLM's names; what it was asked for, too."""
    read = samples(await metrics_of(client))
    of_requests = (QUEUE, PREFILL, DECODE, INFERENCE, TPOT, GENERATION)

    assert {read[f"{name}_count"].value for name in of_requests} == {2}
    assert read[f"{E2E}_count"].value == 1
    assert read[f"{ASKED_N}_sum"].value == 2
    assert read[f"{GENERATION}_sum"].value == 10
    phases = read[f"{PREFILL}_sum"].value + read[f"{DECODE}_sum"].value
    assert phases == pytest.approx(read[f"{INFERENCE}_sum"].value, abs=1e-5)
    assert 0 < phases < 2 * read[f"{E2E}_sum"].value
    assert read["raylax_routing_decisions_total"].value == 2
    assert read["raylax_attempts_total"].labels["outcome"] == "ended"


async def test_what_was_found_in_pages_was_not_computed(client: httpx.AsyncClient) -> None:
    """Of the same prompt, asked for again, all but the last page."""
    ask = {"model": "tiny", "prompt": "abcdefgh" * 8, "max_tokens": 1, "temperature": 0}
    computed, prompts = [], []
    for _ in range(3):
        await client.post("/v1/completions", json=ask)
        read = samples((await client.get("/metrics")).text)
        computed.append(read[f"{COMPUTED}_sum"].value)
        prompts.append(read[f"{PROMPT}_sum"].value)

    assert prompts[2] - prompts[1] == prompts[1] - prompts[0] > 32
    assert computed[2] - computed[1] == computed[1] - computed[0] < 32


async def test_a_refused_call_is_counted_by_its_error(rig: Rig, client: httpx.AsyncClient) -> None:
    places = rig.models.state.places.taken("", rig.models.config.limits.max_inflight)
    with places:
        reply = await client.post("/v1/chat/completions", json=ASK)
    read = samples((await client.get("/metrics")).text)

    assert reply.status_code == 429
    assert read["raylax_calls_refused_total"].labels["code"] == "rate_limit_exceeded"
    assert f"{E2E}_count" in read and read[f"{E2E}_count"].value == 0


async def test_every_series_has_the_models_name(client: httpx.AsyncClient) -> None:
    text = await metrics_of(client)
    read = [one for family in text_string_to_metric_families(text) for one in family.samples]

    of_models = [one for one in read if not one.name.startswith("raylax_batch")]
    assert {one.labels.get("model_name") for one in of_models} == {"tiny"}


async def test_who_accepts_openmetrics_gets_the_ids_of_traces(client: httpx.AsyncClient) -> None:
    """As its parser reads them; of histograms alone, and each in its own bucket."""
    found = [*openmetrics_families(await metrics_of(client, OPENMETRICS))]  # type: ignore[no-untyped-call]
    buckets = [(one, one.exemplar) for family in found for one in family.samples if one.exemplar]
    names = {one.name.removesuffix("_bucket") for one, _ in buckets}

    assert {E2E, QUEUE, DECODE, GENERATION} <= names
    assert {exemplar.labels["trace_id"] for _, exemplar in buckets} == {TRACE}
    assert all(exemplar.value <= float(one.labels["le"]) for one, exemplar in buckets)


async def test_without_asking_for_it_nobody_gets_openmetrics(client: httpx.AsyncClient) -> None:
    assert "# EOF" not in await metrics_of(client)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("text/plain;q=0.5, Application/OpenMetrics-Text;version=1.0.0;q=0.8", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text; q=0.000", False),
        (";;,,q=", False),
    ],
)
def test_the_form_is_the_one_that_is_accepted(accept: str, expected: bool) -> None:
    assert format_of(accept).is_openmetrics is expected


def measured(router: str, *values: float, trace_id: str = "") -> RouterMeasures:
    metrics = CallMetrics("round-robin")
    for value in values:
        metrics.of[E2E].observe(value, trace_id)
        metrics.counted["vllm:request_success"]["stop"] += 1
    return RouterMeasures(router=router, models={"tiny": metrics.measures(waiting=1)})


def test_what_routers_measure_can_be_added() -> None:
    """Each bucket, each counter, each gauge; of exemplars the last one stays. Nobody's own is
    changed by it."""
    one, other = measured("a", 0.2, 0.3, trace_id="1"), measured("b", 0.2, 70.0, trace_id="2")
    other.models["big"] = other.models["tiny"].model_copy(deep=True)
    both = added_up([one, other])
    tiny = both.models["tiny"]

    assert sum(tiny.histograms[E2E].counts) == 4
    assert tiny.histograms[E2E].sum == pytest.approx(70.7)
    assert tiny.counters["vllm:request_success"] == {"stop": 4}
    assert tiny.gauges["raylax_admission_waiting"] == 2
    by_bucket = [one for _, one in sorted(tiny.histograms[E2E].exemplars.items())]
    last = [(one.trace_id, one.value) for one in by_bucket]
    assert last == [("2", 0.2), ("1", 0.3), ("2", 70)]
    assert sum(one.models["tiny"].histograms[E2E].counts) == 2
    assert both.models["big"].counters["vllm:request_success"] == {"stop": 2}


def test_batches_of_routers_are_added() -> None:
    """All see the same ones that are open; each has its own that it runs."""
    one, other = measured("a"), measured("b")
    one.batches = BatchMeasures(open=5, running=1, ended={"failed": 1}, requests={"completed": 9})
    other.batches = BatchMeasures(open=4, running=2, requests={"completed": 1, "failed": 3})
    written = Format().written(families(added_up([one, other]))).decode()

    assert 'raylax_batches{state="queued"} 2.0' in written
    assert 'raylax_batches{state="running"} 3.0' in written
    assert 'raylax_batches_ended_total{status="failed"} 1.0' in written
    assert 'raylax_batch_requests_total{outcome="completed"} 10.0' in written
    assert 'raylax_batch_requests_total{outcome="failed"} 3.0' in written


def test_measures_are_the_same_after_their_way_to_another_router() -> None:
    told = measured("a", 0.2, 0.3, trace_id="1")

    assert RouterMeasures.model_validate_json(told.model_dump_json()) == told


@pytest.fixture(params=[Format(), Format(is_openmetrics=True)], ids=["plain", "openmetrics"])
def form(request: pytest.FixtureRequest) -> Iterator[Format]:
    yield request.param


def test_every_family_is_described_once_in_either_form(form: Format) -> None:
    text = form.written(families(measured("a", 0.5))).decode() + form.end.decode()
    described = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    counters = (*COUNTERS, BATCHES_ENDED, BATCH_REQUESTS)
    plain = {name if form.is_openmetrics else f"{name}_total" for name in counters}

    assert len(described) == len(set(described))
    assert set(described) == HISTOGRAMS.keys() | plain | GAUGES.keys() | {BATCHES}
