"""One `raylax serve` and everything that people do with it; Ray runs in its processes alone."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from prometheus_client.parser import text_string_to_metric_families

from raylax.cluster.cli.main import main
from raylax.cluster.metrics.exposition import COUNTERS, GAUGES
from raylax.cluster.startup.asked import user
from raylax.cluster.startup.sockets import listening
from raylax.cluster.supervision.processes import arguments_of, running
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.worker.config import EngineConfig
from tests.support.cluster_serving import (
    STOP_S,
    Serving,
    serving,
    until,
)

pytestmark = pytest.mark.cluster
PATIENCE_S = 60.0
HI: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raylax.yaml, which a test may change."""
    file: Path = tmp_path_factory.mktemp("settings") / "raylax.yaml"
    file.write_text("served_model_name: tiny")
    return file


@pytest.fixture(scope="module")
def cluster(checkpoint: Path, settings: Path) -> Iterator[Serving]:
    with serving(str(checkpoint), "--config", str(settings)) as made:
        made.wait_until_it_says("Ctrl-C stops it.")
        yield made


@pytest.fixture
def client(cluster: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{cluster.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE_S
    ) as made:
        yield made


@pytest.fixture
def channel(cluster: Serving) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{cluster.grpc_port}") as made:
        yield made


def test_the_start_is_told(cluster: Serving) -> None:
    """Progress, the addresses, and a curl to paste."""
    said = cluster.output

    assert "the model is ready" in said
    assert "starting Ray" in said
    assert f"raylax serves tiny at {cluster.url}/v1 and gRPC 127.0.0.1:{cluster.grpc_port}" in said
    assert f"curl {cluster.url}/v1/chat/completions" in said
    assert "Traceback" not in said


def test_a_chat_by_openais_client(client: openai.OpenAI) -> None:
    """As the README does; whole and streamed are the same text."""
    ask: Any = {"model": "tiny", "messages": HI, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**ask)
    chunks = list(
        client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    )

    assert whole.choices[0].message.content
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_completions_and_models_by_openais_client(client: openai.OpenAI) -> None:
    plain = client.completions.create(model="tiny", prompt="abc", max_tokens=5, temperature=0)

    assert plain.choices[0].text
    assert plain.usage is not None
    assert plain.usage.prompt_tokens == 3
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_tools_by_openais_client(client: openai.OpenAI) -> None:
    """They are taken; whether the model calls one is its own affair."""
    reply = client.chat.completions.create(
        model="tiny", messages=HI, tools=[TOOL], max_tokens=8, temperature=0
    )

    assert reply.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_a_mistake_is_openais_error_class(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=HI, temperature=9)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="another", messages=HI)

    assert caught.value.param == "temperature"


def test_grpc_with_health_and_reflection(channel: grpc.Channel) -> None:
    stub = raylax_pb2_grpc.RaylaxStub(channel)
    sampling = raylax_pb2.Sampling(temperature=0, max_tokens=6)
    message = raylax_pb2.Message(role="user", content="hi")
    chat = list(stub.Chat(raylax_pb2.ChatRequest(messages=[message], sampling=sampling)))
    tokens = raylax_pb2.TokenIds(ids=[5, 6, 7])
    plain = list(stub.Generate(raylax_pb2.GenerateRequest(tokens=tokens, sampling=sampling)))
    models = stub.ListModels(raylax_pb2.ListModelsRequest()).models
    checker: Any = health_pb2_grpc.HealthStub(channel)
    health = checker.Check(health_pb2.HealthCheckRequest())
    reflected = ProtoReflectionDescriptorDatabase(channel).get_services()

    for replies in (chat, plain):
        assert "".join(reply.text for reply in replies)
        assert replies[-1].usage.completion_tokens > 0
    assert [model.id for model in models] == ["tiny"]
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert {"raylax.v1.Raylax", "grpc.health.v1.Health"} <= set(reflected)


def test_health_metrics_and_cluster(cluster: Serving) -> None:
    """Valid for Prometheus; every value of the engine's configuration is known."""
    with httpx.Client(base_url=cluster.url, timeout=PATIENCE_S) as client:
        health = client.get("/health")
        families = list(text_string_to_metric_families(client.get("/metrics").text))
        (worker,) = client.get("/cluster").json()["workers"]

    names = [family.name for family in families]
    assert health.json()["workers"] == [worker["worker_id"]]
    assert len(names) == len(set(names))
    assert {*GAUGES, *COUNTERS, "vllm:time_to_first_token_seconds"} <= set(names)
    config = EngineConfig.from_json(json.dumps(worker["engine_config"]))
    for name in ("max_num_sequence", "max_total_sequence_length", "prefill_chunk_size", "threads"):
        assert getattr(config, name) > 0, name
    assert config.quantization == "q0f32"


def test_status_as_json_and_as_a_table(
    cluster: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["raylax", "status", cluster.url, "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    (worker,) = json.loads(capsys.readouterr().out)["workers"]
    monkeypatch.setattr("sys.argv", ["raylax", "status", cluster.url])
    with pytest.raises(SystemExit, match="0"):
        main()
    lines = capsys.readouterr().out.splitlines()

    assert worker["state"] == "ready"
    assert worker["pid"] in cluster.pids()
    assert len(lines) == 4 + bool(worker["cores"])
    assert max(map(len, lines)) <= 80
    assert lines[0].strip() == "tiny"
    assert lines[2].split()[:2] == [worker["worker_id"], str(worker["pid"])]


def test_the_step_runs_on_the_workers_own_cores(cluster: Serving) -> None:
    """As many as it has threads; none, as it says, if others on this machine left too few."""
    (worker,) = httpx.get(f"{cluster.url}/cluster", timeout=PATIENCE_S).json()["workers"]
    cores, config = set(worker["cores"]), worker["engine_config"]
    allowed = []
    for task in Path(f"/proc/{worker['pid']}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            allowed.append(os.sched_getaffinity(int(task.name)))

    assert config["pin_threads"] == bool(cores)
    assert len(cores) in (0, config["threads"])
    assert (cores or os.sched_getaffinity(0)) in allowed


def test_nothing_listens_beyond_loopback(cluster: Serving) -> None:
    bound = listening({cluster.command.pid, *cluster.pids()})

    assert {cluster.port, cluster.grpc_port} <= {port for _, port in bound}
    assert [f"{address}:{port}" for address, port in bound if not address.is_loopback] == []


def test_everything_lies_below_the_runs_directory(cluster: Serving) -> None:
    """HAProxy, too, is told to write there and not to the place where all others meet."""
    haproxy = [
        " ".join(line)
        for pid in cluster.pids()
        if (line := arguments_of(pid)) and "haproxy" in line[0]
    ]

    assert haproxy
    assert all(str(cluster.run_directory) in line for line in haproxy)
    assert [entry.name for entry in cluster.temporary.iterdir()] == [cluster.run_directory.name]


def test_a_body_of_100_mb_is_refused(cluster: Serving) -> None:
    """Before it has been sent."""
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=PATIENCE_S) as raw:
        raw.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n"
            + b"x" * 1000
        )
        status = raw.makefile("rb").readline()

    assert status.split()[1] == b"413"


@pytest.mark.parametrize("blow", ["killed", "drained"])
def test_the_only_worker_goes_and_its_answer_is_complete(
    cluster: Serving, client: openai.OpenAI, blow: str
) -> None:
    """It waits for the worker that comes in its place, and goes on there."""
    asked: Any = {"model": "tiny", "messages": HI, "max_tokens": 1500, "temperature": 0}
    only = {"extra_body": {"ignore_eos": True}}
    want = client.chat.completions.create(**asked, **only).choices[0]
    stream = client.chat.completions.create(**asked, **only, stream=True)
    chunks = [next(stream)]
    before = workers(cluster)
    for worker in before:
        if blow == "killed":
            os.kill(worker["pid"], signal.SIGKILL)
        else:
            path = f"/cluster/drain/{worker['worker_id']}"
            httpx.post(f"{cluster.url}{path}", json={}).raise_for_status()
    chunks += stream

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert (said, chunks[-1].choices[0].finish_reason) == (want.message.content, "length")
    gone = {worker["pid"] for worker in before}
    until(lambda: {worker["pid"] for worker in workers(cluster)} - gone, PATIENCE_S)


def workers(cluster: Serving) -> list[dict[str, Any]]:
    """Those that are ready and running."""
    known = httpx.get(f"{cluster.url}/cluster", timeout=PATIENCE_S).json()["workers"]
    return [one for one in known if one["state"] == "ready" and running([one["pid"]])]


def test_a_change_of_the_file_is_applied_while_there_are_answers(
    cluster: Serving, client: openai.OpenAI, settings: Path
) -> None:
    """Each of them is whole, and the same; then the worker is another one."""
    asked: Any = {"model": "tiny", "messages": HI, "max_tokens": 1500, "temperature": 0}
    replies: list[str | None] = []
    settings.write_text("{served_model_name: tiny, max_num_sequence: 3}")

    def ask() -> None:
        reply = client.chat.completions.create(**asked, extra_body={"ignore_eos": True})
        replies.append(reply.choices[0].message.content)

    ask()
    cluster.command.send_signal(signal.SIGUSR1)
    while "\napplied" not in cluster.output:
        ask()
    ask()

    assert set(replies) == {replies[0]}
    until(lambda: len(workers(cluster)) == 1, PATIENCE_S)
    (worker,) = workers(cluster)
    assert worker["engine_config"]["max_num_sequence"] == 3


def test_who_changed_what_is_told(cluster: Serving) -> None:
    """By the settings, then by the engine that runs by them."""
    told = httpx.get(f"{cluster.url}/cluster/events", timeout=PATIENCE_S).json()["events"]
    first, change = (one for one in told if one["kind"] == "settings")
    *_, engine = (one for one in told if one["kind"] == "configured")

    assert (first["who"], first["text"]) == (f"{user()} (raylax serve)", "for the first time")
    assert change["who"] == f"{user()} (kill -USR1)"
    assert change["detail"] == {"max_num_sequence": {"before": None, "after": 3}}
    assert engine["detail"]["max_num_sequence"]["after"] == 3
    assert engine["text"].endswith(f"settings were changed last by {change['who']}")


def test_a_mistake_in_the_changed_file_changes_nothing(cluster: Serving, settings: Path) -> None:
    settings.write_text("{served_model_name: tiny, max_num_sequences: 4}")
    cluster.command.send_signal(signal.SIGUSR1)
    unknown = "unknown key 'max_num_sequences'; did you mean max_num_sequence?"
    cluster.wait_until_it_says(f"not applied: {settings}: {unknown}")

    (worker,) = workers(cluster)
    assert worker["engine_config"]["max_num_sequence"] == 3


def test_what_cannot_be_had_leaves_all_as_it_was(cluster: Serving, settings: Path) -> None:
    """The driver finds out, and serves again what was there before."""
    settings.write_text("served_model_name: tiny\nengine: {max_total_sequence_length: 2000000000}")
    cluster.command.send_signal(signal.SIGUSR1)
    cluster.wait_until_it_says("not applied: KV memory: ")

    (worker,) = workers(cluster)
    assert worker["engine_config"]["max_num_sequence"] == 3


def test_ctrl_c_ends_everything(cluster: Serving, client: openai.OpenAI) -> None:
    """Within five seconds, an answer being streamed; no process and no file is left."""
    stream = client.chat.completions.create(
        model="tiny", messages=HI, max_tokens=450, stream=True, extra_body={"ignore_eos": True}
    )
    next(stream)
    started = cluster.pids()
    seconds = cluster.interrupt()
    stream.close()

    assert cluster.command.returncode == 0
    assert seconds < STOP_S
    assert running(started) == []
    assert list(cluster.temporary.iterdir()) == []
    assert cluster.output.rstrip().endswith("stopping")
    assert "Traceback" not in cluster.output
