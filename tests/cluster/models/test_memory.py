"""One host's memory, shared out among all workers that there may be."""

from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models import memory
from raylax.cluster.models.lookup import ResolvedModel, find_models
from raylax.cluster.models.memory import engines_alone, parts_of, plan_engines
from raylax.kernels.build import footprint
from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.options import silent
from raylax.worker.config import EngineConfig
from raylax.worker.ranks import loading
from raylax.worker.ranks.loading import options_of, plan_rank

MIB = 1 << 20
ROOM = 40 * MIB


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_at_the_start", lambda: ROOM)


def planned(checkpoint: Path, **values: Any) -> list[EngineConfig]:
    """What each model's engines are told. Many sequences: more pages are wished for than fit."""
    given = {"model": str(checkpoint), "max_num_sequence": 4096, **values}
    return plan_engines(find_models(ClusterConfig.model_validate(given)))


def promised(checkpoint: Path, **values: Any) -> int:
    """Bytes of all pages that all ranks may come to use."""
    config = ClusterConfig.model_validate(
        {"model": str(checkpoint), "max_num_sequence": 4096, **values}
    )
    models = find_models(config)
    engines = plan_engines(models)
    return sum(
        model.config.most_replicas * model.config.ranks * (engine.kv_cache_bytes or 0)
        for model, engine in zip(models, engines, strict=True)
    )


SMALL = {"engine": {"prefill_chunk_size": 16, "max_single_sequence_length": 64},
         "max_num_sequence": 64}  # fmt: skip


@pytest.mark.parametrize(
    "workers",
    [
        {},
        {"replicas": 3},
        {"replicas": 1, "max_replicas": 4},
        {"tensor_parallel_shards": 2, "replicas": 2},
        {"models": [{"model": "$", "served_model_name": "a", "replicas": 2},
                    {"model": "$", "served_model_name": "b"}]},
    ],
)  # fmt: skip
def test_however_many_share_it_no_more_is_promised(checkpoint: Path, workers: Any) -> None:
    """Four workers promise what one would, but for what their workspaces take."""
    for entry in workers.get("models", ()):
        entry["model"] = str(checkpoint)

    assert promised(checkpoint, **SMALL, **workers) <= 0.4 * ROOM


def test_an_engine_comes_to_the_planned_sizes_whatever_is_free(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others load at the same time, so it must not measure."""
    (engine,) = planned(checkpoint, replicas=2, **SMALL)
    monkeypatch.setattr(loading, "memory_of", lambda *_: 0)
    options, sizes = plan_rank(engine, "cpu")

    assert sizes.pages * footprint(checkpoint, options).page == engine.kv_cache_bytes
    assert sizes.max_total_sequence_length == engine.max_total_sequence_length
    assert options.max_step_tokens == engine.prefill_chunk_size


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ({}, True),
        ({"tensor_parallel_shards": 2}, True),
        ({"pipeline_parallel_stages": 2}, True),
        ({"quantization": "q0f32"}, True),
        ({"quantization": "q8f32_0"}, False),
    ],
)
def test_what_maps_the_same_file_counts_its_weights_once(
    checkpoint: Path, other: dict[str, Any], shared: bool
) -> None:
    """Shards and stages read parts of one packed file; `auto` is a format as any other."""
    entries = [
        {"model": str(checkpoint), "served_model_name": name, **SMALL, **more}
        for name, more in (("a", {}), ("b", other))
    ]
    models = find_models(ClusterConfig.model_validate({"models": entries}))
    told = dict(zip(("a", "b"), plan_engines(models), strict=True))
    first, second = parts_of(models, told)

    files = {
        Artefacts(checkpoint, options_of(one, "cpu"), None, silent).weights()
        for one in told.values()
    }
    assert first.weights > 0
    assert (second.weights == 0) == (len(files) == 1) == shared


@pytest.mark.parametrize(
    "asked",
    [
        {"max_total_sequence_length": 25_000},
        {"kv_cache_bytes": 24 * MIB},
    ],
)
def test_what_was_asked_for_must_fit_as_often_as_there_are_workers(
    checkpoint: Path, asked: dict[str, Any]
) -> None:
    """The sum is said, with its terms."""
    given = {"engine": {"prefill_chunk_size": 16, **asked}, "max_num_sequence": 500}
    planned(checkpoint, **given)
    with pytest.raises(UserError) as caught:
        planned(checkpoint, replicas=1, max_replicas=2, **given)

    assert str(caught.value).startswith("memory: 2 workers x (2")
    assert "MiB of pages + " in str(caught.value)
    assert "of 40.0 MiB available; less max_total_sequence_length" in str(caught.value)


def test_room_for_who_gives_way_is_promised_where_it_was_asked_for(checkpoint: Path) -> None:
    """Else it is an eighth of the pages, and no more than what is left."""

    def told(kv_bytes: int, **more: Any) -> EngineConfig:
        engine = {"prefill_chunk_size": 16, "kv_cache_bytes": kv_bytes, **more}
        (one,) = planned(checkpoint, engine=engine, max_num_sequence=500)
        return one

    with pytest.raises(UserError, match=r"1 worker x .* \+ 1 x 20\.0 MiB of swap space = "):
        told(24 * MIB, swap_space_bytes=20 * MIB)

    assert told(16 * MIB).swap_space_bytes == 2 * MIB
    assert 0 <= (told(36 * MIB).swap_space_bytes or 0) < ROOM - 36 * MIB
    assert told(36 * MIB, swap_space_bytes=0).swap_space_bytes == 0


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_share_of_the_memory_is_that_of_all_workers(checkpoint: Path, share: float) -> None:
    """Three of them have it together, and no sum is refused."""
    config = {"engine": {"gpu_memory_utilization": share, "prefill_chunk_size": 16}}
    three = promised(checkpoint, **{**config, "max_num_sequence": 64, "replicas": 3})

    assert share * ROOM / 2 < three <= share * ROOM


def test_too_many_workers_for_even_one_sequence_each(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="KV memory: one sequence of .*; 500 ranks of workers sha"):
        planned(checkpoint, replicas=500, **SMALL)


def test_who_is_alone_on_a_machine_looks_for_itself(tmp_path: Path) -> None:
    """What this one has says nothing of that; and pods do not see each other's cores."""
    (engine,) = engines_alone([ResolvedModel(ClusterConfig(), tmp_path, "tiny")])

    assert (engine.threads, engine.kv_cache_bytes, engine.pin_threads) == (None, None, False)
    assert engine.mode == "server"


def test_what_is_said_of_an_engine_holds_where_it_is_alone(tmp_path: Path) -> None:
    config = ClusterConfig(engine={"threads": 3, "pin_threads": True})
    (engine,) = engines_alone([ResolvedModel(config, tmp_path, "tiny")])

    assert (engine.threads, engine.pin_threads) == (3, True)
