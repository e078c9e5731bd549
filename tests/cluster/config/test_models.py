"""What may differ from model to model, and what of it the engine is told."""

import pytest

from raylax.cluster.config.models import OF_THE_ENGINE
from raylax.cluster.config.schema import ClusterConfig

SEVERAL = {
    "replicas": 2,
    "mode": "local",
    "models": [
        {"model": "a", "replicas": None},
        {"model": "b", "replicas": 1, "model_lib": "lib", "engine": {"max_waiting": 9}},
    ],
}


def test_an_entry_says_what_differs_and_null_says_nothing() -> None:
    first, second = ClusterConfig.model_validate(SEVERAL).each

    assert (first.replicas, second.replicas) == (2, 1)
    assert (first.mode, second.mode) == ("local", "local")
    assert (first.engine, second.engine) == ({}, {"max_waiting": 9})


def test_an_entry_that_was_sent_says_no_more_than_before() -> None:
    """The process that holds Ray reads it from a line of JSON."""
    config = ClusterConfig.model_validate(SEVERAL)
    sent = ClusterConfig.model_validate_json(config.model_dump_json())

    assert sent == config
    assert sent.each == config.each


def test_the_engine_is_told_what_the_file_says() -> None:
    """Settings on top reach it, and null stands for what is inferred."""
    values = {
        "quantization": "q0f32",
        "max_num_sequence": 3,
        "mode": "local",
        "engine": {"max_waiting": 9, "threads": None},
    }
    engine = ClusterConfig.model_validate(values).engine_config(threads=2)

    assert (engine.quantization, engine.max_num_sequence, engine.mode) == ("q0f32", 3, "local")
    assert (engine.max_waiting, engine.threads) == (9, 2)


@pytest.mark.parametrize("name", sorted(OF_THE_ENGINE))
def test_a_setting_with_the_name_of_the_engines_reaches_it(name: str) -> None:
    """Whatever it is: no list has to be told of it."""
    values: dict[str, object] = {
        "gpus_per_rank": 0.5,
        "max_num_sequence": 7,
        "mode": "interactive",
        "model_lib": "/lib.so",
        "pipeline_parallel_stages": 2,
        "quantization": "w8a8",
        "tensor_parallel_shards": 2,
    }
    config = ClusterConfig.model_validate({name: values[name]})

    assert getattr(config.engine_config(1), name) == values[name]


def test_each_class_may_have_a_target_of_its_own() -> None:
    """Else all have that of the model, if there is one."""
    of_classes = {"itl_p99_ms": 40, "engine": {"target_itl_ms": {"low": 500}}}
    engine = ClusterConfig.model_validate(of_classes).engine_config(1)

    assert engine.target_itl_ms == {"high": "auto", "normal": "auto", "low": 500}
    assert ClusterConfig(itl_p99_ms=40).engine_config(1).target_itl_ms == 40
