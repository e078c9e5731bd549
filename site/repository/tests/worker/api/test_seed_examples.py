"""The two programs that raylax was asked for, as they stand but for their import and their model,
and what an engine has after them."""

import inspect
import json
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from raylax import AsyncMLCEngine, EngineConfig, MLCEngine
from raylax.cluster.models.lookup import demo_model
from raylax.kernels.options import ProgressCallback
from raylax.proto.text.tokenizer import Tokenizer
from raylax.worker.api.engine_state import EngineState
from raylax.worker.engine.operations import Operations
from tests.support.engines import PATIENCE_S

FUNCTIONS = (
    "add_request", "abort_request", "run_background_loop", "run_background_stream_back_loop",
    "reload", "init_threaded_engine", "exit_background_loop", "create_request",
    "get_complete_engine_config", "reset", "debug_call_func_on_all_worker",
)  # fmt: skip
NO_GPU = pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="there is no GPU")


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=NO_GPU),
    ]
)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "cuda":
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    return str(request.param)


@pytest.fixture(scope="module")
def model() -> str:
    return str(demo_model())


async def test_the_program_of_an_event_loop(model: str, device: str) -> None:
    """With every option that it gives: the demo model brings a head of EAGLE's."""
    engine = AsyncMLCEngine(
        model=model,
        device=device,
        mode="server",
        enable_tracing=True,
        engine_config=EngineConfig(
            gpu_memory_utilization=0.90,
            max_num_sequence=32,
            speculative_mode="eagle",
            spec_draft_length=4,
            prefix_cache_mode="radix",
            prefill_mode="hybrid",
        ),
    )
    response = await engine.chat.completions.create(
        messages=[{"role": "user", "content": "Hello!"}], model=model
    )
    extra = response.usage.extra
    config, metrics = engine.engine_config, await engine.metrics()
    await engine.abort(response.id)
    await engine.reset()
    trace = engine.state.trace
    engine.terminate()

    assert response.choices[0].message.content.startswith("Hello") and response.model == model
    assert extra["completion_tokens"] == response.usage.completion_tokens
    assert (config.speculative_mode, config.spec_draft_length) == ("eagle", 4)
    assert metrics["accepted_tokens"] > 0 and len(metrics["spec_decode"]["draft_count"]) == 5
    assert (config.gpu_memory_utilization, config.max_num_sequence) == (0.90, 32)
    assert (config.prefix_cache_mode, config.prefill_mode) == ("radix", "hybrid")
    assert metrics["generated_tokens"] >= response.usage.completion_tokens
    assert trace is not None and response.id in trace.dump_json()


def test_the_program_of_a_thread(
    model: str, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = MLCEngine(model=model, device=device, mode="interactive")
    response = engine.chat.completions.create(
        messages=[{"role": "user", "content": "What is 2 + 2?"}], model=model
    )
    print(response.choices[0].message.content)
    engine.terminate()

    assert "4" in capsys.readouterr().out
    assert engine.engine_config.max_num_sequence == 1


def test_what_the_constructor_takes_and_leaves(model: str) -> None:
    """The parameters in their order, six attributes, and threads for which no program waits."""
    before = set(threading.enumerate())
    with MLCEngine(model, "cpu") as engine:
        threads = set(threading.enumerate()) - before
        shorter = min(
            engine.engine_config.max_single_sequence_length or 0,
            engine.engine_config.max_total_sequence_length or 0,
        )

        assert engine.max_input_sequence_length == shorter > 0
        assert engine.conv_template.named["default"].source
        assert [one["architectures"] for one in engine.model_config_dicts] == [["LlamaForCausalLM"]]
        assert isinstance(engine.state, EngineState) and isinstance(engine.tokenizer, Tokenizer)
        assert all(callable(getattr(engine._engine, name)) for name in FUNCTIONS)
        assert {one.name: one.daemon for one in threads} == {
            "raylax-engine": True, "raylax-stream-back": True,
        }  # fmt: skip
    assert list(inspect.signature(MLCEngine.__mro__[1]).parameters) == [
        "kind", "model", "device", "model_lib", "mode", "engine_config", "enable_tracing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "reloaded",
    [{}, {"max_num_sequence": 2, "prefix_cache_mode": "disable", "speculative_mode": "disable"}],
)
def test_the_complete_configuration_says_what_the_engine_does(
    checkpoint: Path, reloaded: dict[str, Any]
) -> None:
    """Every field of it, after another model has been loaded in its place, too."""
    asked = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)
    with MLCEngine(str(checkpoint), "cpu", engine_config=asked) as engine:
        core = engine._engine
        core.reload(EngineConfig.from_json(core.get_complete_engine_config()).complete(**reloaded))
        said = json.loads(core.get_complete_engine_config())
        model = core._slot.loaded()
        batch, executor = model.batch, model.executor
        options, sizes = executor.rank.model.options, executor.sizes
        pool = batch.roster.pool

        assert set(said) == {one.name for one in fields(EngineConfig)}
        assert [name for name, value in said.items() if value is None] == []
        assert said == said | reloaded
        assert said["max_num_sequence"] == batch.limits.sequences
        assert said["prefill_chunk_size"] == batch.limits.tokens
        assert said["max_total_sequence_length"] <= pool.total * said["kv_cache_page_size"]
        assert (said["prefix_cache_mode"] == "radix") == pool.prefix_cache
        assert (said["speculative_mode"] == "ngram") == (batch.proposer is not None)
        assert said["kv_cache_bytes"] == sizes.pages * executor.rank.model.page_bytes
        assert (said["threads"], said["tensor_parallel_shards"]) == (options.threads, 1)
        assert Path(said["model_lib"]).exists()


def test_there_is_one_reload_at_a_time(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks meanwhile waits for it, and the last one stands."""
    inside, most, loading = 0, 0, Operations.load

    def load(self: Operations, config: EngineConfig, progress: ProgressCallback) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        loading(self, config, progress)
        inside -= 1

    monkeypatch.setattr(Operations, "load", load)
    asked = EngineConfig(max_single_sequence_length=128, threads=1)
    with MLCEngine(str(checkpoint), "cpu", engine_config=asked) as engine:
        whole = [engine.engine_config.complete(max_num_sequence=n) for n in (1, 2, 3, 4)]
        works = [threading.Thread(target=engine._engine.reload, args=[one]) for one in whole]
        for work in works:
            work.start()
        for work in works:
            work.join(PATIENCE_S)

        assert most == 1
        assert engine._engine.config.max_num_sequence in (1, 2, 3, 4)
        assert engine.completions.create(prompt="abc", max_tokens=2).choices
