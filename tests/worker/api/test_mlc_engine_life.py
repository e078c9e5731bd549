"""How an MLCEngine begins and ends. A failure names its step, and leaves no thread behind."""

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tvm

from raylax import EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest, WorkerUnavailable
from raylax.worker.errors import ConfigError, EngineNotReady, EngineStartError
from tests.support.engines import PATIENCE_S, Gate, until

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1)


def test_paths_devices_and_nothing_are_understood(checkpoint: Path) -> None:
    """A model of the constructor's or of the configuration's; a device by TVM's own name."""
    with MLCEngine(checkpoint, tvm.cpu(0), engine_config=CONFIG) as engine:
        assert engine.engine_config.model == str(checkpoint)
    with MLCEngine(None, None, engine_config=CONFIG.complete(model=checkpoint)) as engine:
        assert engine.device == "cpu"
    config = CONFIG.complete(max_num_sequence=None, mode="interactive")
    with MLCEngine(checkpoint, mode=None, engine_config=config) as engine:  # type: ignore[arg-type]
        assert engine.engine_config.max_num_sequence == 1
    with pytest.raises(ConfigError, match="model must be given, or engine_config.model; found nei"):
        MLCEngine(None)


def test_a_cache_of_a_size_must_fit_into_what_is_available(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only into what the machine has: others have their part of it."""
    monkeypatch.setattr("raylax.worker.ranks.loading.memory_of", lambda *_: 4 << 20)
    with MLCEngine(checkpoint, engine_config=CONFIG.complete(kv_cache_bytes=1 << 20)) as engine:
        assert 0 < (engine.engine_config.kv_cache_bytes or 0) <= 1 << 20

    said = (
        "reload: kv_cache_bytes must be at most [0-9]+, what 4 MiB free, weights .*; found 4000000"
    )
    with pytest.raises(ConfigError, match=said):
        MLCEngine(checkpoint, engine_config=CONFIG.complete(kv_cache_bytes=4_000_000))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("raylax-")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    assert threads() == []
    yield
    assert threads() == []


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"mode": "server", "engine_config": EngineConfig(mode="local")}, ConfigError,
         "config check: mode is 'server' in the constructor and 'local' in engine_config"),
        ({"engine_config": EngineConfig(model="other")}, ConfigError, "config check: model is"),
        ({"engine_config": {"mode": "local"}}, ConfigError,
         "config check: engine_config must be an EngineConfig, which EngineConfig.from_dict makes"),
        ({"mode": "fast"}, ConfigError, "config check: mode must be one of local, interactive"),
        ({"model_lib": "mock://other"}, ConfigError,
         "config check: model_lib must be mock://echo, or a path, found 'mock://other'"),
        ({"model": "/no/such/place"}, EngineStartError,
         "model resolution: /no/such/place: no such directory"),
        ({"model": "HF://org/name"}, ConfigError,
         "model resolution: HF://org/name: HF_HUB_OFFLINE is set, and "),
        ({"model": None, "engine_config": CONFIG.complete(model="org/name")}, ConfigError,
         "model resolution: org/name: HF_HUB_OFFLINE is set, and "),
        ({"device": "cuda:1"}, ConfigError,
         "device detection: device 'cuda:1' is not here: it needs a GPU and NVIDIA's driver"),
        ({"model_lib": "/lib/step.so"}, EngineStartError,
         "reload: model_lib /lib/step.so: there is no library"),
        ({"engine_config": CONFIG.complete(quantization="q9")}, EngineStartError, "reload: "),
        ({"engine_config": EngineConfig(max_single_sequence_length=513)}, ConfigError,
         "reload: max_single_sequence_length must be at most the model's 512 positions, found 513"),
        ({"engine_config": EngineConfig(max_total_sequence_length=1 << 40)}, ConfigError,
         "reload: KV memory: max_total_sequence_length of 1099511627776 tokens needs "),
    ],
)  # fmt: skip
def test_a_failure_names_its_step(
    checkpoint: Path, given: dict[str, Any], error: type[Exception], said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """And says what a user can do about it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error) as caught:
        MLCEngine(**{"model": str(checkpoint), "engine_config": CONFIG, **given})

    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("file", "text", "step"),
    [
        ("config.json", "{", "model config"),
        ("config.json", '{"architectures": ["Unknown"]}', "model config"),
        ("model.safetensors", "short", "model config"),
        ("tokenizer.json", "{", "tokenizer and conversation template"),
        ("tokenizer.json", None, "tokenizer and conversation template"),
        ("tokenizer_config.json", "{", "tokenizer and conversation template"),
    ],
)
def test_a_damaged_checkpoint(
    checkpoint: Path, tmp_path: Path, file: str, text: str | None, step: str
) -> None:
    """Is found before anything is compiled."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    (copy / file).unlink()
    if text is not None:
        (copy / file).write_text(text)

    with pytest.raises(EngineStartError, match=f"^{step}: "):
        MLCEngine(str(copy), engine_config=CONFIG)


def test_without_a_chat_template_there_are_completions(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    (copy / "tokenizer_config.json").write_text(json.dumps({}))
    with MLCEngine(str(copy), engine_config=CONFIG) as engine:
        with pytest.raises(InvalidRequest, match="no chat template"):
            engine.chat.completions.create(messages=[{"role": "user", "content": "hi"}])
        assert engine.completions.create(prompt="abc", max_tokens=3, ignore_eos=True).choices


def test_defaults_of_the_modes(checkpoint: Path) -> None:
    sizes = {}
    for mode in ("local", "interactive", "server"):
        with MLCEngine(str(checkpoint), mode=mode, engine_config=EngineConfig(threads=1)) as made:
            sizes[mode] = made.engine_config.max_num_sequence
            assert made.engine_config.mode == mode

    assert sizes == {"local": 4, "interactive": 1, "server": 64}


@pytest.mark.parametrize("verbose", [True, False])
def test_progress_is_logged_for_who_wants_it(
    checkpoint: Path, caplog: pytest.LogCaptureFixture, verbose: bool
) -> None:
    with (
        caplog.at_level("INFO", logger="raylax.worker.api"),
        MLCEngine(checkpoint, "cpu", engine_config=CONFIG.complete(verbose=verbose)),
    ):
        pass

    assert any("load 100%" in line for line in caplog.messages) is verbose


def test_terminate_ends_who_waits_and_can_be_repeated(checkpoint: Path) -> None:
    """Afterwards everything is refused, and nothing hangs."""
    engine = MLCEngine(str(checkpoint), engine_config=CONFIG)
    with ThreadPoolExecutor(8) as pool, Gate(engine._engine) as gate:
        asked = [
            pool.submit(engine.completions.create, prompt="abc", max_tokens=100, ignore_eos=True)
            for _ in range(8)
        ]
        until(lambda: len(engine.state) == 8)
        gate.let(3)
        ending = threading.Thread(target=engine.terminate)
        ending.start()
        until(lambda: engine._engine._commands.closed)
        gate.let(1000)
        ending.join(PATIENCE_S)
        reasons = [future.result(PATIENCE_S).choices[0].finish_reason for future in asked]
    engine.terminate()

    assert reasons == ["abort"] * 8
    with pytest.raises(WorkerUnavailable, match="the engine has been terminated"):
        engine.completions.create(prompt="abc")
    with pytest.raises(EngineNotReady, match="terminated"):
        engine.reset()
    engine.abort("cmpl-x")
    assert engine.metrics()["running"] == 0


def test_an_engine_that_is_dropped_ends_its_threads(checkpoint: Path) -> None:
    engine = MLCEngine(str(checkpoint), engine_config=CONFIG)
    assert threads() == ["raylax-engine", "raylax-stream-back"]
    del engine
    gc.collect()

    assert threads() == []


def test_the_threads_of_the_compiled_step_end_too(checkpoint: Path) -> None:
    """TVM's pool belongs to the engine thread: many engines leave no more threads than one."""

    def count() -> int:
        return len(os.listdir("/proc/self/task"))

    def begin_and_end() -> None:
        with MLCEngine(str(checkpoint), engine_config=CONFIG.complete(threads=2)) as engine:
            engine.completions.create(prompt="abc", max_tokens=2)
            alive.append(count())

    alive: list[int] = []
    begin_and_end()
    until(lambda: count() < alive[0])  # the system takes a moment to end a thread
    for _ in range(4):
        begin_and_end()
    until(lambda: count() <= alive[0] - 3)  # engine, stream-back and TVM's second worker


PROGRAM = """
import sys
from raylax import EngineConfig, MLCEngine
config = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1)
engine = MLCEngine(sys.argv[1], engine_config=config)
stream = engine.completions.create(prompt="abc", max_tokens=100, ignore_eos=True, stream=True)
print(next(stream).choices[0].index)
"""


def test_a_program_may_end_without_terminate(checkpoint: Path) -> None:
    """In the middle of a stream: no hang, no crash, no word."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(checkpoint)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
