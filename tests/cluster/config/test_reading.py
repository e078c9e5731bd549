"""One file and flags, checked once: what wins, what is refused, and in which words."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import trustme

from raylax.cluster.cli.keys import make_key
from raylax.cluster.config.reading import read_config
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.proto.vocabulary import Priority
from raylax.router.access.keys import hash_of

NO_FLAGS: dict[str, Any] = {}
HASH, OTHER = hash_of("a secret"), hash_of("another")
KEY = f"{{name: alice, sha256: {HASH}}}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "raylax.yaml"


def test_nothing_given_is_the_defaults() -> None:
    assert read_config(None, {"port": None, "model": None}) == ClusterConfig()


def test_an_empty_file_is_the_defaults(file: Path) -> None:
    file.write_text("# nothing yet\n")

    assert read_config(file, NO_FLAGS) == ClusterConfig()


def test_the_file_is_read(file: Path) -> None:
    file.write_text("model: /m\nlimits: {max_inflight: 3}\nautoscaling: {pool: 1.5}\n")
    config = read_config(file, NO_FLAGS)

    assert (config.model, config.limits.max_inflight) == ("/m", 3)
    assert config.autoscaling.pool == 1.5


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
        ("replicas: -1", "replicas: Input should be greater than or equal to 0, found -1"),
        ("replicas: 3\nmax_replicas: 2", "max_replicas must be at least replicas, found 2 and 3"),
        ("policy: magic", "policy must be one of consistent-hash, expected-latency, least-tokens"),
        ("reasoning_parser: x", "reasoning_parser must be one of auto, think, deepseek_r1,"),
        ("reranker: maybe", "reranker must be one of auto, none, yes_no, found maybe"),
        ("tool_parser: xml", "tool_parser must be one of auto, hermes, qwen3_coder, llama3_json, "),
        ("mode: turbo", "mode: Input should be 'local', 'interactive' or 'server', found 'turbo'"),
        ("autoscaling: {pool: 0}", "autoscaling.pool: Input should be greater than 0, found 0"),
        ("autoscaling: {timezone: Mars}", "autoscaling.timezone: must be a time zone, as UTC or"),
        ("schedule: [{cron: 8 am, replicas: 1}]", "schedule.0.cron: must be five fields of cron"),
        ("schedule: [{cron: 0 8 * * *, replica: 1}]", "unknown key 'schedule.0.replica'; did you"),
        ("schedule: [{cron: 0 8 * * *, replicas: 9}]", "must be at most max_replicas=1, found 9"),
        ("ttft_p99_ms: 0", "ttft_p99_ms: Input should be greater than 0, found 0"),
        ("itl_p99_ms: fast", "itl_p99_ms: Input should be a valid number"),
        ("itl_p99_ms: .inf", "itl_p99_ms: Input should be less than or equal to 3600000, found"),
        ("engine: {target_itl_ms: -1}", "must be auto, or a number of milliseconds from 0 to 36"),
        ("engine: {target_itl_ms: {hihg: 3}}", "target_itl_ms: unknown class 'hihg'; did you mean"),
        ("scaling_weight: -1", "scaling_weight: Input should be greater than 0, found -1"),
        ("scaling_cost: 0", "scaling_cost: Input should be greater than 0, found 0"),
        ("engine: {quantization: q0f32}", "engine.quantization: write it as quantization, at the"),
        ("engine: {threads: -1}", "a positive integer, at most 1024, found -1"),
        ("engine: {spec_tree_width: 5}", "spec_tree_width must be a whole number from 1"),
        ("engine: {spec_draft_length: 17}", "spec_draft_length must be a whole number from 0 to"),
        ("engine: {speculative_mode: eagles}", "speculative_mode must be one of disable, ngram"),
        ("engine: {gpu_memory_utilization: lots}", "gpu_memory_utilization must lie"),
        ("keys: [{nmae: a}]", "unknown key 'keys.0.nmae'; did you mean name?"),
        ("keys: [{name: a b}]", "keys.0.name: String should match pattern"),
        (f"keys: [{{name: a, sha256: {HASH.upper()}}}]", "keys.0.sha256: String should match"),
        (f"keys: [{{name: a, sha256: {HASH}, share: 0}}]", "keys.0.share: Input should be gr"),
        (f"keys: [{{name: a, sha256: {HASH}, priority: top}}]", "keys.0.priority: Input should"),
        (f"keys: [{KEY}, {KEY}]", "keys: each needs its own name, found alice twice"),
        (f"keys: [{KEY}, {{name: b, sha256: {HASH}}}]", "each needs its own sha256, found"),
        ("tls_cert: /x.pem", "tls_cert and tls_key belong together, found one without the other"),
        ("tls_client_ca: /x.pem", "tls_client_ca needs tls_cert and tls_key: who has no certif"),
        ("models: [{model: a, replicas: -1}]", "models.0.replicas: Input should be greater than"),
        ("models: [{model: a, replica: 1}]", "unknown key 'models.0.replica'; did you mean repl"),
        ("models: [{model: a, policy: magic}]", "models.0: policy must be one of consistent-ha"),
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


def test_keys_of_the_file_and_of_their_own_file_are_one_list(file: Path, tmp_path: Path) -> None:
    """The second one may be a mounted secret; a mistake there names that file."""
    more = tmp_path / "keys.yaml"
    file.write_text(f"keys: [{KEY}]\napi_keys_file: {more}\n")
    more.write_text(f"keys: [{{name: bob, sha256: '{OTHER}', admin: true, priority: high}}]\n")
    alice, bob = (entry.key for entry in read_config(file, NO_FLAGS).keys)

    assert (alice.name, alice.sha256, alice.priority) == ("alice", HASH, Priority.NORMAL)
    assert (bob.name, bob.admin, bob.priority) == ("bob", True, Priority.HIGH)
    for text in (f"keys: [{KEY}]", "keys: {}", "key: []"):
        more.write_text(text)
        with pytest.raises(UserError, match=f"^{more}: "):
            read_config(file, NO_FLAGS)


def test_a_new_key_is_one_that_the_configuration_takes(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed is the file, with the key itself in a comment."""
    make_key("1984", admin=True)
    printed = capsys.readouterr().out
    file.write_text(printed)
    (secret,) = re.findall(r"^# (rlx-\S+)$", printed, re.MULTILINE)
    (entry,) = read_config(file, NO_FLAGS).keys

    assert (entry.name, entry.admin, entry.sha256) == ("1984", True, hash_of(secret))
    with pytest.raises(UserError, match="^name: String should match pattern"):
        make_key("not a name", admin=False)


def test_a_certificate_is_checked_before_anything_starts(tmp_path: Path) -> None:
    """That the files are there, and that the key is the certificate's."""
    cert, key, other = (tmp_path / name for name in ("cert.pem", "key.pem", "other.pem"))
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_pem.write_to_path(other)
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(key)
    flags = {"tls_cert": cert, "tls_key": key}
    with pytest.raises(UserError, match=f"^{cert}: cannot be read: No such file"):
        read_config(None, flags)
    issued.cert_chain_pems[0].write_to_path(cert)

    assert read_config(None, flags).url == "https://127.0.0.1:8000"
    with pytest.raises(UserError, match="must be a certificate and its key, .*MISMATCH"):
        read_config(None, {**flags, "tls_key": other})
    os.mkfifo(pipe := tmp_path / "pipe.pem")
    with pytest.raises(UserError, match=f"^{pipe}: must be a regular file"):
        read_config(None, {**flags, "tls_key": pipe})


def test_whose_certificates_clients_show_is_checked_before_anything_starts(tmp_path: Path) -> None:
    """The file holds authorities, and is there."""
    names = ("cert.pem", "key.pem", "clients.pem")
    cert, key, clients = (tmp_path / name for name in names)
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    flags = {"tls_cert": cert, "tls_key": key, "tls_client_ca": clients}
    with pytest.raises(UserError, match=f"^{clients}: cannot be read: No such file"):
        read_config(None, flags)
    both = authority.cert_pem.bytes() + issued.cert_chain_pems[0].bytes()
    for content, why in (
        (b"", "NO_CERTIFICATE"),
        (b"no certificate", "NO_CERTIFICATE"),
        (key.read_bytes(), "NO_CERTIFICATE"),
        (cert.read_bytes(), "1 of 1 are of no authority"),
        (both, "1 of 2 are of no authority"),
    ):
        clients.write_bytes(content)
        rule = f"^tls_client_ca {clients} must hold the certificates of authorities, in PEM: .*"
        with pytest.raises(UserError, match=rule + why):
            read_config(None, flags)
    authority.cert_pem.write_to_path(clients)

    assert read_config(None, flags).tls_client_ca == clients
    os.mkfifo(pipe := tmp_path / "pipe.pem")
    with pytest.raises(UserError, match=f"^{pipe}: must be a regular file"):
        read_config(None, {**flags, "tls_client_ca": pipe})


@pytest.mark.parametrize("text", ["[" * 100_000, "a: [1\nb: 2", "? [1, 2]\n: 3\n1: 2"])
def test_what_is_no_yaml_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "raylax.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(file, {})

    assert str(caught.value).startswith(f"{file}: not valid YAML: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "keys: [{name: alice, sha256: rlx-secret}]",
        "keys: rlx-secret",
        "keys: [rlx-secret]",
        "keys: {alice: rlx-secret}",
        "keys: [{name: alice, sha256: [rlx-secret]}]",
        "keys: [{name: alice, key: rlx-secret}]",
        "keys:\n  - name: alice\n    sha256: 'rlx-secret",
        "keys:\n  - name: alice\n   sha256: rlx-secret\n",
        "keys: [{name: alice, sha256: rlx-secret}",
        "# rlx-secret\nkeys: @rlx-secret",
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_key_in_the_place_of_its_hash_is_not_shown(
    file: Path, tmp_path: Path, text: str, apart: bool
) -> None:
    """In whichever file, and however it is wrong: what is said may be kept somewhere."""
    if apart:
        (tmp_path / "keys.yaml").write_text(text)
        file.write_text(f"api_keys_file: {tmp_path / 'keys.yaml'}\n")
    else:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(file, NO_FLAGS)

    assert "rlx-secret" not in str(caught.value)
    assert "keys" in str(caught.value) or "line " in str(caught.value)


def test_other_mistakes_in_an_entry_are_shown(file: Path) -> None:
    file.write_text(f"keys: [{{name: alice, sha256: {HASH}, share: lots}}]")
    with pytest.raises(UserError, match="keys.0.share: .*, found 'lots'"):
        read_config(file, NO_FLAGS)


def test_any_key_of_the_file_can_be_set(tmp_path: Path) -> None:
    """What is set overrides the file, and a flag what is set."""
    file = tmp_path / "raylax.yaml"
    file.write_text("{port: 1, replicas: 2, engine: {max_waiting: 7, threads: 3}}")
    assignments = ["port=2", "replicas=3", "engine.threads=5", "engine.additional_models=[a, b=c]"]
    assignments += ["engine.target_itl_ms.low=500"]
    config = read_config(file, {"replicas": 4}, assignments)

    assert (config.port, config.replicas) == (2, 4)
    engine = {"max_waiting": 7, "threads": 5, "additional_models": ["a", "b=c"]}
    engine["target_itl_ms"] = {"low": 500}
    assert config.engine == engine


def test_where_files_are_kept_is_checked_before_anything_starts(tmp_path: Path) -> None:
    """One that is not there is made by who needs it."""
    file, open_to_all = tmp_path / "file", tmp_path / "open"
    file.touch()
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for wrong, rule in (
        (file, f"^files_directory: must be a directory, {file} is none$"),
        (open_to_all / "x", f"^files_directory: {open_to_all} can be written by other users"),
    ):
        with pytest.raises(UserError, match=rule):
            read_config(None, {"files_directory": wrong})

    missing = tmp_path / "missing"
    assert read_config(None, {"files_directory": missing}).files_directory == missing
    assert not missing.exists()


@pytest.mark.parametrize(
    ("assignment", "why"),
    [
        ("port", "--set must be KEY=VALUE or SECTION.KEY=VALUE, found 'port'"),
        ("=3", "--set must be KEY=VALUE or SECTION.KEY=VALUE, found '=3'"),
        ("engine.=3", "--set must be KEY=VALUE or SECTION.KEY=VALUE, found 'engine.=3'"),
        ("port=[1", "--set port: not a value of YAML, found '[1'"),
        ("model.name=x", "--set model.name: model is no section, found 'demo'"),
        ("prot=1", "unknown key 'prot'; did you mean port?"),
    ],
)
def test_what_cannot_be_set_is_said(tmp_path: Path, assignment: str, why: str) -> None:
    file = tmp_path / "raylax.yaml"
    file.write_text("model: demo")
    with pytest.raises(UserError) as refused:
        read_config(file, NO_FLAGS, [assignment])

    assert why in str(refused.value)
