"""An engine whose ranks have a GPU each, of the fake driver: they start, meet by the fake NCCL,
answer, and end together."""

import gc
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from raylax.kernels.cuda import driver
from raylax.kernels.options import PAGE_SIZE, silent
from raylax.proto.pages import names_of
from raylax.proto.vocabulary import Fault
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import EngineStartError
from raylax.worker.ranks.child_processes import ChildProcesses
from raylax.worker.ranks.leader import RankGroup
from tests.support.cuda_demo import DEMO, demo_cubins, first_layers
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_fake.machine import cubins_here
from tests.support.cuda_ranks import rank_cubins
from tests.support.engines import Answers, Elsewhere, request, running_engine, until
from tests.support.traces import checked, named

PROMPT = tuple(range(40, 57))
OTHERS = list(names_of(tuple(range(70, 87))))
TOKENS = 3
CPU = EngineConfig(
    quantization="q0bf16",
    max_num_sequence=2,
    max_single_sequence_length=64,
    max_total_sequence_length=128,
    prefill_chunk_size=16,
    threads=1,
)
ECC = 214
NOTHING: Mapping[str, object] = {}
ENOUGH_S = 20.0
"""For requests of a lost rank to end: what it takes to notice, and the rest of an interpreted
step."""


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """Two H100, the second of which can be lost."""
    directory = tmp_path_factory.mktemp("driver")
    given = {"RAYLAX_FAKE_GPUS": "2", "RAYLAX_FAKE_LOST": str(directory / "lost")}
    given["RAYLAX_STORE"] = str(store)
    yield from FakeMachine.with_code(
        directory, lambda: [rank_cubins(store), demo_cubins(store)], **given
    )


def here() -> Path:
    return Path(os.environ["LD_LIBRARY_PATH"])


@cache
def model() -> Path:
    made = first_layers(here() / "model", 1)
    shutil.copy(DEMO / "tokenizer.json", made)
    return made


@contextmanager
def engine_on(
    device: str, more: Mapping[str, object] = NOTHING, trace: TraceRecorder | None = None
) -> Iterator[tuple[ThreadedEngine, Answers]]:
    """Of two ranks on GPUs, of one on a CPU."""
    config = CPU
    if device != "cpu":
        config = replace(CPU, tensor_parallel_shards=2, model_lib=str(cubins_here()[0]))
        config = config.complete(**more)
    with running_engine(model(), config, device=device, trace=trace) as running:
        yield running


@cache
def of_the_cpu() -> list[int]:
    with engine_on("cpu") as (engine, answers):
        engine.add_request(request("r", PROMPT, TOKENS))
        answers.wait_for("r")
    return answers.tokens("r")


def ended(engine: ThreadedEngine, answers: Answers) -> str:
    """Its fault, when a request has ended by it; no process of a rank is left."""
    pids, begun = [one["pid"] for one in engine.shards], time.monotonic()
    answers.wait_for("long")
    assert time.monotonic() - begun < ENOUGH_S
    assert answers.deltas["long"][-1].fault is Fault.UNAVAILABLE
    until(lambda: not any(map(is_running, pids)))
    return engine.fault or ""


def is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def has_back(free: int) -> bool:
    """What a model had is there for the next one. Its error is in a cycle with who raised it."""
    gc.collect()
    return driver.memory(0)[0] >= free


@on_fake_device
def test_two_gpus_answer_as_the_cpu_does_until_one_is_lost() -> None:
    """Debug calls and pages reach both, and each says what it has run; the one that is lost is
    named."""
    expected, names, trace = of_the_cpu(), list(names_of(PROMPT)), TraceRecorder()
    with engine_on("cuda", trace=trace) as (engine, answers):
        config = engine.config
        engine.add_request(request("r", PROMPT, TOKENS))
        answers.wait_for("r")
        ranks = engine.debug_call_func_on_all_worker("raylax.debug.rank")
        plans = engine.debug_call_func_on_all_worker("raylax.debug.last_plan")
        pages = engine.read_pages(names)
        engine.reset()
        assert engine.write_pages(names, pages) == len(names)
        assert engine.read_pages(names) == pages
        engine.add_request(request("again", PROMPT, TOKENS))
        answers.wait_for("again")
        file = checked(trace.dump_json())
        engine.add_request(request("long", PROMPT, 40))
        answers.wait_for_tokens("long", 1)
        assert engine.write_pages(OTHERS, pages) == len(OTHERS)  # while devices are steps ahead
        assert engine.debug_call_func_on_all_worker("raylax.debug.rank") == ranks
        assert engine.read_pages(OTHERS) == pages
        (here() / "lost").write_text(f"{ECC} 1")
        fault = ended(engine, answers)
        with pytest.raises(EngineStartError, match="rank 1: CUDA: .* ECC error"):
            RankGroup.load(config, "cuda:0", silent, ChildProcesses())
    (here() / "lost").unlink()

    assert answers.tokens("r") == answers.tokens("again") == expected
    cached = [one.cached_tokens for one in answers.deltas["again"] if one.token_ids]
    assert cached[0] == PAGE_SIZE
    assert [(one["rank"], one["device"]) for one in ranks] == [(0, "cuda:0"), (1, "cuda:0")]
    assert plans[0] == plans[1]
    ahead = [event["name"] for event in file["traceEvents"] if "ahead" in event["name"]]
    first, second = (one["pid"] for one in file["metadata"]["processes"])
    ran = [
        [e["args"]["step"] for e in named(file, "run") if (e["pid"], e["tid"]) == at]
        for at in ((first, 2), (second, 1))
    ]
    assert ahead and ran[0] == ran[1] == list(range(1, 1 + len(ran[0])))
    assert [len(page) for page in pages] == [2 * 2 * PAGE_SIZE * 64 * 2]
    assert "rank 1" in fault
    assert "Fake 1 GPU-00000000-0000-0000-0000-000000000001 is lost" in fault
    assert "uncorrectable ECC" in fault


@on_fake_device
def test_what_drafts_is_whole_on_the_first_gpu() -> None:
    """Both verify, and draw what they would have drawn without."""
    small: dict[str, object] = {
        "speculative_mode": "small_draft",
        "additional_models": (str(model()),),
        "spec_draft_length": 2,
    }
    with engine_on("cuda", small) as (engine, answers):
        engine.add_request(request("r", PROMPT, TOKENS))
        answers.wait_for("r")
        plans = engine.debug_call_func_on_all_worker("raylax.debug.last_plan")

        assert answers.tokens("r") == of_the_cpu()
        assert engine.load().accepted_tokens > 0
        assert plans[0] == plans[1]


@on_fake_device
def test_a_rank_that_is_killed_lets_the_other_go() -> None:
    """Which waits for it on its GPU, as long as nobody ends NCCL's group."""
    gc.collect()
    free, _ = driver.memory(0)
    with engine_on("cuda") as (engine, answers):
        engine.add_request(request("long", PROMPT, 40))
        answers.wait_for_tokens("long", 1)
        os.kill(engine.shards[0]["pid"], signal.SIGKILL)
        fault = ended(engine, answers)
    del engine, answers
    until(lambda: has_back(free))
    assert "rank 1" in fault
    assert "has died" in fault


@on_fake_device
def test_gpus_of_several_hosts_share_no_model() -> None:
    """What goes between machines is sealed, and by NCCL it is not."""
    config = replace(CPU.complete(model=str(model()), mode="server"), tensor_parallel_shards=2)
    config = replace(config, model_lib=str(cubins_here()[0]))
    with pytest.raises(EngineStartError, match="must be on one host, .*ask for placement: host"):
        RankGroup.load(config, "cuda:0", silent, Elsewhere())


@on_fake_device
def test_what_ranks_on_gpus_need_is_said_before_anything_starts() -> None:
    config = replace(CPU.complete(model=str(model()), mode="server"), tensor_parallel_shards=2)
    engine = ThreadedEngine()
    engine.init_threaded_engine("cuda", lambda *_: None)
    for wrong, said in (
        (replace(config, gpus_per_rank=0.5), "gpus_per_rank must be 1 where 2 ranks .*found 0.5"),
        (replace(config, tensor_parallel_shards=4), "4 ranks from cuda:0 .* there are 2; take few"),
        (replace(config, pipeline_parallel_stages=2), "stages must be 1 on CUDA.*--device cpu"),
    ):
        with pytest.raises(Exception, match=said):
            engine._operations.load(wrong, lambda *_: None)
