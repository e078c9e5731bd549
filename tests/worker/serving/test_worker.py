"""A worker without Ray: it starts, says how it stands, and stops."""

import threading
from pathlib import Path

import pytest

from raylax.kernels.errors import DeviceError
from raylax.worker.config import EngineConfig
from raylax.worker.errors import DeviceLost, EngineStartError
from raylax.worker.serving.worker import Worker
from tests.support.engines import until

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1)


async def test_its_life_in_reports(checkpoint: Path) -> None:
    """Loading, ready; and after the end the threads are gone."""
    before = set(threading.enumerate())
    worker = Worker("w0", "tiny", str(checkpoint), "cpu")
    first = worker.report(1, "node")
    await worker.start(CONFIG, "server", "127.0.0.1", "token")
    worker.check()
    report = worker.report(1, "node")
    loops = list(worker._threads)
    await worker.stop()
    await worker.stop()

    assert (first["state"], first["engine_config"]) == ("loading", {})
    assert (report["state"], report["address"]) == ("ready", worker.address)
    assert report["engine_config"]["max_single_sequence_length"] == 128
    assert report["load"]["kv_usage"] == 0.0
    assert set(report["versions"]) == {"python", "raylax", "apache-tvm", "ray"}
    assert len(loops) == 2 and not any(thread.is_alive() for thread in loops)
    assert not {t for t in set(threading.enumerate()) - before if t in loops}


@pytest.mark.parametrize(
    ("checkpoint_", "device", "config", "said"),
    [
        ("/no/such/place", "cpu", CONFIG, "no such directory"),
        (None, "cuda", CONFIG, "device 'cuda' is not here"),
        (None, "cpu", CONFIG.complete(max_single_sequence_length=600), "the model's 512 positions"),
    ],
)
async def test_a_start_that_fails_says_why_and_leaves_nothing(
    checkpoint: Path, checkpoint_: str | None, device: str, config: EngineConfig, said: str
) -> None:
    worker = Worker("w0", "tiny", checkpoint_ or str(checkpoint), device)
    with pytest.raises(EngineStartError, match=said):
        await worker.start(config, "server", "127.0.0.1", "token")

    told = worker.report(1, "node")

    assert worker._threads == []
    assert (told["state"], told["engine_config"]) == ("failed", {})
    assert said in told["fault"]


async def test_a_broken_engine_is_noticed(checkpoint: Path) -> None:
    """Serve then replaces the replica."""
    worker = Worker("w0", "tiny", str(checkpoint), "cpu")
    await worker.start(CONFIG, "server", "127.0.0.1", "token")
    worker.engine._commands._queue.put(lambda: 1 / 0)  # type: ignore[arg-type]
    until(lambda: worker.engine.fault)
    with pytest.raises(RuntimeError, match="the engine thread has failed: ZeroDivisionError"):
        worker.check()
    await worker.stop()


async def test_a_lost_device_is_told_by_name(checkpoint: Path) -> None:
    """In the report, too: Serve then replaces the replica, and somebody will want to know."""
    worker = Worker("w0", "tiny", str(checkpoint), "cpu")
    await worker.start(CONFIG, "server", "127.0.0.1", "token")
    sound = worker.report(1, "node")
    worker.engine.lose_device(DeviceLost("GPU-1 is lost: Xid 79"))
    with pytest.raises(RuntimeError, match="GPU-1 is lost: Xid 79"):
        worker.check()
    lost = worker.report(1, "node")
    await worker.stop()

    assert (sound["state"], sound["fault"]) == ("ready", None)
    assert (lost["state"], lost["fault"]) == ("failed", "GPU-1 is lost: Xid 79")


async def test_a_device_that_is_lost_while_it_loads_ends_the_start(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: object, **more: object) -> None:
        raise DeviceError("CUDA: cudaMemcpyAsync: it is gone (719)", 719)

    monkeypatch.setattr("raylax.worker.ranks.executor.load_whole", load)
    worker = Worker("w0", "tiny", str(checkpoint), "cpu")
    with pytest.raises(EngineStartError, match="cpu is lost: CUDA: cudaMemcpyAsync: it is gone"):
        await worker.start(CONFIG, "server", "127.0.0.1", "token")


async def test_a_thread_that_is_gone_is_noticed(checkpoint: Path) -> None:
    worker = Worker("w0", "tiny", str(checkpoint), "cpu")
    await worker.start(CONFIG, "server", "127.0.0.1", "token")
    worker.engine.exit_background_loop()
    until(lambda: not any(thread.is_alive() for thread in worker._threads))
    with pytest.raises(RuntimeError, match="an engine thread has died"):
        worker.check()
    await worker.stop()
