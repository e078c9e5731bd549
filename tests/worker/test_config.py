"""Options: what is refused, in which words, and what a complete configuration says."""

import ast
import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from raylax.worker.config import ABSENT, EngineConfig, check_agreement
from raylax.worker.errors import ConfigError, EngineStartError
from tests.support.engine_fields import SHOWN_BY
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kv_cache_page_size": 32}, "kv_cache_page_size must be 16, found 32"),
        ({"mode": "fast"}, "mode must be one of local, interactive, server, found 'fast'"),
        ({"prefix_cache_mode": "tree"}, "must be one of disable, radix, found 'tree'"),
        (
            {"kv_dtype": "e5m2"},
            "kv_dtype must be one of auto, f32, bf16, f16, int8, fp8, found",
        ),
        ({"max_num_sequence": 0}, "max_num_sequence must be a positive integer, found 0"),
        ({"max_waiting": -1}, "max_waiting must be a positive integer, found -1"),
        ({"max_waiting": None}, "max_waiting must be a positive integer, found None"),
        ({"threads": True}, "threads must be a positive integer, at most 1024, found True"),
        ({"threads": 1025}, "threads must be a positive integer, at most 1024, found 1025"),
        ({"quantization": None}, "quantization must be text, found None"),
        ({"quantization": ["q0f32"]}, "quantization must be text, found ['q0f32']"),
        ({"model": ""}, "model must be text or a path, found ''"),
        ({"model_lib": 3}, "model_lib must be text or a path, found 3"),
        ({"prefill_chunk_size": 1.5}, "must be a positive integer, found 1.5"),
        ({"max_single_sequence_length": "9"}, "must be a positive integer, found '9'"),
        ({"max_total_sequence_length": 0}, "must be a positive integer, found 0"),
        ({"gpus_per_rank": 0}, "gpus_per_rank must be above 0 and at most 1, found 0"),
        ({"gpus_per_rank": 1.5}, "gpus_per_rank must be above 0 and at most 1, found 1.5"),
        ({"pin_threads": 1}, "pin_threads must be true or false, found 1"),
        ({"swap_space_bytes": -1}, "swap_space_bytes must be a whole number of bytes, found -1"),
        ({"swap_space_bytes": 1e9}, "swap_space_bytes must be a whole number of bytes, found 1000"),
        ({"sliding_window_size": -1}, "sliding_window_size must be a whole number, found -1"),
        ({"attention_sink_size": "4"}, "attention_sink_size must be a whole number, found '4'"),
        (
            {"sliding_window_size": 8, "attention_sink_size": 8},
            "less than sliding_window_size, found 8 and 8",
        ),
        ({"attention_sink_size": 4}, "must be less than sliding_window_size, found 4 and 0"),
        (
            {"prefix_cache_max_num_recycling_seqs": -2},
            "or -1 for no limit, found -2",
        ),
        ({"prefill_mode": "whole"}, "prefill_mode must be one of chunked, hybrid, found 'whole'"),
        ({"kv_cache_page_size": 16.0}, "kv_cache_page_size must be 16, found 16.0"),
        ({"target_itl_ms": {"low": -1}}, "target_itl_ms.low must be auto, or a number of millisec"),
        ({"gpu_memory_utilization": 0}, "must lie between 0 and 1, found 0"),
        ({"gpu_memory_utilization": 1.0}, "must lie between 0 and 1, found 1.0"),
        ({"gpu_memory_utilization": "half"}, "must lie between 0 and 1, found 'half'"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EngineConfig(**wrong)

    assert said in str(caught.value)


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_there_yet_is_refused(name: str) -> None:
    """Rather than ignored."""
    with pytest.raises(ConfigError, match=f"{name}='another' is not available in this version"):
        EngineConfig().complete(**{name: "another"})


def test_a_mistake_is_an_error_of_the_start_and_of_a_value() -> None:
    """Callers may catch either."""
    assert issubclass(ConfigError, EngineStartError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"max_num_sequences": 3}', "unknown key 'max_num_sequences'; did you mean max_num_seq"),
        ('{"zzz": 3}', "unknown key 'zzz'"),
        ("[]", "must be a JSON object, found []"),
        ("{", "not valid JSON"),
        ('{"threads": 0}', "threads must be a positive integer"),
    ],
)
def test_json_is_checked(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EngineConfig.from_json(text)

    assert said in str(caught.value)


def test_a_dictionary_is_checked_as_json_is() -> None:
    """And is not changed; it may have a list where a field is a tuple, as JSON does."""
    values = {"mode": "local", "threads": 3, "additional_models": []}

    assert EngineConfig.from_dict(values) == EngineConfig(mode="local", threads=3)
    assert values["additional_models"] == []
    with pytest.raises(ConfigError, match="unknown key 'thread'; did you mean threads?"):
        EngineConfig.from_dict({"thread": 3})


@pytest.mark.parametrize("none", [[], (), None])
def test_no_further_models_however_they_are_written(none: Any) -> None:
    config = EngineConfig(additional_models=none)

    assert config == EngineConfig()
    assert hash(config) == hash(EngineConfig())
    with pytest.raises(ConfigError, match="additional_models must be a list of models.*found 3"):
        EngineConfig(additional_models=3)  # type: ignore[arg-type]


def test_another_model_may_have_a_library_beside_it() -> None:
    """As JSON, too; one without is as good as alone."""
    config = EngineConfig(additional_models=[("m", Path("l")), ["n", None], Path("o")])  # type: ignore[arg-type]

    assert config.additional_models == (("m", "l"), "n", "o")
    assert EngineConfig.from_json(config.asjson()) == config
    assert hash(config)
    for wrong in ([("m",)], [("m", "l", "x")], [("m", 3)], [(None, "l")], [None], "m"):
        with pytest.raises(ConfigError, match="a list of models, each a path, or a pair of it and"):
            EngineConfig(additional_models=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="additional_models must be text or a path, found ''"):
        EngineConfig(additional_models=[("", "l")])  # type: ignore[arg-type]


def test_a_path_is_text() -> None:
    config = EngineConfig(model=Path("m"), model_lib=Path("l/step.so"))  # type: ignore[arg-type]

    assert EngineConfig.from_json(config.asjson()) == config
    assert (config.model, config.model_lib) == ("m", "l/step.so")
    for wrong in (3, b"m", ["m"]):
        with pytest.raises(ConfigError, match="model must be text or a path, found "):
            EngineConfig(model=wrong)  # type: ignore[arg-type]


def test_json_and_back() -> None:
    config = EngineConfig(mode="server", gpu_memory_utilization=0.5, additional_models=())

    assert EngineConfig.from_json(config.asjson()) == config
    assert set(json.loads(config.asjson())) == {field.name for field in fields(EngineConfig)}


@pytest.mark.parametrize("name", ["model", "model_lib", "mode"])
def test_constructor_and_config_must_agree(name: str) -> None:
    config = EngineConfig().complete(**{name: "local"})

    check_agreement(config, **{name: "local"})
    check_agreement(EngineConfig(), **{name: "local"})
    with pytest.raises(ConfigError, match=f"{name} is 'server' in the constructor and 'local'"):
        check_agreement(config, **{name: "server"})


def test_every_field_has_a_test_that_shows_what_it_does() -> None:
    """The page of all fields names it."""
    assert list(SHOWN_BY) == [field.name for field in fields(EngineConfig)]
    for file, name in SHOWN_BY.values():
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(), (file, name)


def test_every_field_says_what_it_is() -> None:
    """In a docstring under it."""
    (body,) = [node.body for node in ast.parse(inspect.getsource(EngineConfig)).body
               if isinstance(node, ast.ClassDef)]  # fmt: skip
    bare = [
        node.target.id
        for node, after in zip(body, body[1:], strict=False)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]  # fmt: skip

    assert bare == []
