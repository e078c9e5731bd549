"""One file and flags, checked once: what wins, what is refused, and in which words."""

from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.config import ClusterConfig, read_config
from raylax.cluster.errors import UserError

NO_FLAGS: dict[str, Any] = {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "raylax.yaml"


def test_nothing_given_is_the_defaults() -> None:
    assert read_config(None, {"port": None, "model": None}) == ClusterConfig()


def test_an_empty_file_is_the_defaults(file: Path) -> None:
    file.write_text("# nothing yet\n")

    assert read_config(file, NO_FLAGS) == ClusterConfig()


def test_the_file_is_read(file: Path) -> None:
    file.write_text("model: /m\nlimits: {max_inflight: 3}\nautoscaling: {high_waiting: 1.5}\n")
    config = read_config(file, NO_FLAGS)

    assert (config.model, config.limits.max_inflight) == ("/m", 3)
    assert config.autoscaling.high_waiting == 1.5


def test_flags_win_over_the_file(file: Path) -> None:
    """Also false and zero: only what was not given is left to the file."""
    file.write_text("port: 1234\nenable_debug: true\nquantization: q0f32\n")
    config = read_config(file, {"port": 4321, "enable_debug": False, "quantization": None})

    assert (config.port, config.enable_debug, config.quantization) == (4321, False, "q0f32")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot: 1", "unknown key 'prot'; did you mean port?"),
        ("limits: {max_infligth: 1}", "unknown key 'limits.max_infligth'; did you mean"),
        ("zzzzz: 1", "unknown key 'zzzzz'"),
        ("engine: {max_waitng: 1}", "unknown key 'max_waitng'; did you mean max_waiting?"),
        ("port: 70000", "port: Input should be less than or equal to 65535, found 70000"),
        ("port: http", "port: Input should be a valid integer"),
        ("grpc_port: 8000", "port and grpc_port must differ, found 8000 twice"),
        ("replicas: 0", "replicas: Input should be greater than or equal to 1, found 0"),
        ("replicas: 3\nmax_replicas: 2", "max_replicas must be at least replicas, found 2 and 3"),
        ("policy: magic", "policy must be one of least-load, round-robin, found magic"),
        ("mode: turbo", "mode: Input should be 'local', 'interactive' or 'server', found 'turbo'"),
        ("autoscaling: {high_kv_usage: 2}", "autoscaling.high_kv_usage: Input should be less"),
        ("engine: {quantization: q0f32}", "engine.quantization: write it as quantization, at the"),
        ("engine: {threads: -1}", "threads must be a positive integer, found -1"),
        ("engine: {spec_draft_length: 4}", "spec_draft_length=4 is not available"),
        ("engine: {gpu_memory_utilization: lots}", "gpu_memory_utilization must lie"),
        ("- a list", "must hold keys and values, found list"),
        ("a: [", "not valid YAML"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_the_rule_and_the_value(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(file, NO_FLAGS)

    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        read_config(file, NO_FLAGS)


def test_a_file_that_is_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid YAML"):
        read_config(file, NO_FLAGS)


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


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
    ],
)
def test_the_address_to_paste_can_be_reached(host: str, url: str) -> None:
    assert ClusterConfig(host=host).url == url
