"""What is known to fail is found out before anything starts, with the file or the setting."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.build import build
from raylax.cluster.models.checks import (
    check_models,
    gpus_for,
    images_unread,
    precision_lost,
    unused_gpu,
)
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.memory import plan_engines
from raylax.worker.hardware.devices import Choice
from tests.support.checkpoints import write_checkpoint
from tests.support.family_checkpoints import write_family
from tests.support.prompt_models import PATTERN, write_trapped
from tests.support.quantised import write_quantised
from tests.support.token_files import DIRECTORIES, HERE

NESTED_LOOPS = "{% for a in n %}{% for b in n %}{% endfor %}{% endfor %}"
GENERATION, TOKENIZER, SETTINGS = (
    "generation_config.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip


@pytest.fixture
def edited(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, for a test to spoil."""
    return Path(shutil.copytree(checkpoint, tmp_path / "edited"))


def refused(model: Path | str, **settings: Any) -> str:
    """What is said of it before anything starts."""
    with pytest.raises(UserError) as caught:
        check_models(find_models(ClusterConfig.model_validate({"model": str(model), **settings})))
    return str(caught.value)


def changed(path: Path, name: str, **fields: Any) -> None:
    """A JSON file with these fields instead of its own."""
    file = path / name
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**before, **fields}))


def widened(path: Path, highest: int = 120) -> None:
    """A tokenizer of a larger model."""
    model = json.loads((path / TOKENIZER).read_text())["model"]
    changed(path, TOKENIZER, model={**model, "vocab": {**model["vocab"], "zz": highest}})


def nested(path: Path, name: str) -> None:
    (path / name).write_text("[" * 100_000)


SPOILT: list[tuple[str, Callable[[Path], Any], str]] = [
    (TOKENIZER, lambda p: (p / TOKENIZER).unlink(), "tokenizer.json is missing, and so are token"),
    (TOKENIZER, lambda p: (p / TOKENIZER).write_text(""), "no tokenizer can be made of it"),
    (TOKENIZER, lambda p: (p / TOKENIZER).write_text("{}"), "no tokenizer can be made of it"),
    (TOKENIZER, lambda p: (p / TOKENIZER).write_bytes(b"\xff\xfe"), "no tokenizer can be made of"),
    (TOKENIZER, lambda p: nested(p, TOKENIZER), "no tokenizer can be made of it"),
    (TOKENIZER, lambda p: widened(p), "ids up to 120, and vocab_size in"),
    (TOKENIZER, lambda p: widened(p, 99), "ids up to 99, and vocab_size in"),
    (SETTINGS, lambda p: (p / SETTINGS).write_text("{"), "not valid JSON"),
    (SETTINGS, lambda p: (p / SETTINGS).write_text("[]"), "must be a JSON object"),
    (SETTINGS, lambda p: nested(p, SETTINGS), "not valid JSON"),
    (SETTINGS, lambda p: changed(p, SETTINGS, chat_template="{% for %}"), "line 1"),
    (SETTINGS, lambda p: changed(p, SETTINGS, chat_template="{{ 1 | no_filter }}"), "no_filter"),
    (SETTINGS, lambda p: changed(p, SETTINGS, chat_template="(" * 10 + "{{ " + "(" * 90_000), ""),
    (SETTINGS, lambda p: changed(p, SETTINGS, chat_template=[1]), "a text, or a list of names"),
    (SETTINGS, lambda p: changed(p, SETTINGS, added_tokens_decoder={"x": {}}), "declare tokens in"),
    (SETTINGS, lambda p: changed(p, SETTINGS, added_tokens_decoder=[1]), "declare tokens in"),
    ("added_tokens.json", lambda p: changed(p, "added_tokens.json", a=float("inf")), "declare tok"),
    ("special_tokens_map.json", lambda p: nested(p, "special_tokens_map.json"), "not valid JSON"),
    ("chat_template.jinja", lambda p: (p / "chat_template.jinja").write_text("{{"), "line 1"),
    ("chat_template.jinja", lambda p: (p / "chat_template.jinja").write_bytes(b"\xff"), "UTF-8"),
    (GENERATION, lambda p: (p / GENERATION).write_text("[1]"), "must be a JSON object"),
    (GENERATION, lambda p: changed(p, GENERATION, temperature="hot"), "temperature must be a numb"),
    (GENERATION, lambda p: changed(p, GENERATION, top_k=float("nan")), "top_k"),
    (GENERATION, lambda p: changed(p, GENERATION, eos_token_id="</s>"), "eos_token_id must be ids"),
    (GENERATION, lambda p: changed(p, GENERATION, eos_token_id=[1, -1]), "eos_token_id must be id"),
    ("config.json", lambda p: changed(p, "config.json", eos_token_id={"a": 1}), "eos_token_id mus"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "spoil", "said"), SPOILT)
def test_text_that_no_router_could_make(
    file: str, spoil: Callable[[Path], Any], said: str, edited: Path
) -> None:
    spoil(edited)
    why = refused(edited)

    assert file in why
    assert str(edited) in why
    assert said in why
    assert "\n" not in why


def without_tokenizer_json(path: Path, name: str, vocab: int) -> Path:
    """A checkpoint whose tokenizer lies in another file."""
    write_checkpoint(path, vocab_size=vocab)
    (path / TOKENIZER).unlink()
    for file, here in DIRECTORIES[name].files.items():
        shutil.copy(HERE / here, path / file)
    return path


@pytest.mark.parametrize("name", ["llama_alone", "unigram", "llama3", "gpt2"])
def test_any_tokenizer_serves(name: str, tmp_path: Path) -> None:
    """Whatever files it lies in."""
    path = without_tokenizer_json(tmp_path, name, 1100)

    check_models(find_models(ClusterConfig.model_validate({"model": str(path)})))


def test_a_tokenizer_of_a_larger_model_is_said_in_terms_of_its_own_files(tmp_path: Path) -> None:
    """And not of those that were made of them."""
    why = refused(without_tokenizer_json(tmp_path, "gpt2", 700))

    assert why.startswith(f"{tmp_path}/tokenizer.json: its vocabulary has ids up to 800, and vocab")
    assert "raylax/text" not in why


def test_a_store_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tokenizer would be put."""
    path = without_tokenizer_json(tmp_path, "gpt2", 1100)
    monkeypatch.setenv("RAYLAX_STORE", str(path / "merges.txt"))

    assert f"{path}/merges.txt" in refused(path)


def test_half_a_character_in_a_token_is_said(tmp_path: Path) -> None:
    """JSON may have it, and no file of text."""
    path = without_tokenizer_json(tmp_path, "gpt2", 1100)
    (path / "added_tokens.json").write_text('{"\\ud800": 801}')

    why = refused(path)
    assert why.startswith(f"{path}: ") and "declare tokens in a way that is not known" in why
    assert "\n" not in why


def test_a_tokenizer_of_a_smaller_model_is_refused(tmp_path: Path) -> None:
    """Some tokens may stand for nothing, but not most of them."""
    why = refused(without_tokenizer_json(tmp_path, "gpt2", 1604))

    assert why.startswith(f"{tmp_path}/tokenizer.json: it has 801 tokens, and vocab_size in ")
    assert why.endswith("/config.json is 1604: are they of one model?")


def pipe(file: Path) -> None:
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


def listener(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(file))


def sparse(file: Path) -> None:
    with file.open("wb") as one:
        one.truncate(10 << 30)


NOT_A_FILE: list[tuple[Callable[[Path], None], str]] = [
    (pipe, "must be a regular file, found a FIFO"),
    (endless, "must be a regular file, found a device"),
    (listener, "must be a regular file, found a socket"),
    (Path.mkdir, "must be a regular file, found a directory"),
    (sparse, "may have 134217728 bytes, found 10737418240"),
]


@pytest.mark.parametrize(("put", "said"), NOT_A_FILE)
@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors.index.json",
        TOKENIZER,
        SETTINGS,
        GENERATION,
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "vocab.json",
    ],
)
def test_what_stands_in_the_place_of_a_file_is_said_and_not_waited_for(
    name: str, put: Callable[[Path], None], said: str, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(edited)  # a socket's path must be short
    Path(name).unlink(missing_ok=True)
    put(Path(name))

    assert refused(edited) == f"{edited / name}: {said}"


@pytest.mark.parametrize(("put", "said"), NOT_A_FILE[:4])
@pytest.mark.parametrize("name", ["model.safetensors", "weights.bin"])
def test_weights_are_regular_files_too(
    name: str, put: Callable[[Path], None], said: str, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose name is an index's own choice."""
    monkeypatch.chdir(edited)
    Path("model.safetensors").unlink()
    Path("model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    put(Path(name))

    assert refused(edited) == f"{edited / name}: {said}"


def test_a_link_that_leads_nowhere_is_no_file_left_out(edited: Path) -> None:
    """A download may have been cut off: without its template the model would be another one."""
    (edited / "chat_template.jinja").symlink_to("nowhere")

    assert refused(edited) == f"{edited}: chat_template.jinja is missing"


def test_every_model_of_a_cluster_is_looked_at(checkpoint: Path, edited: Path) -> None:
    (edited / TOKENIZER).unlink()
    two = [{"model": str(checkpoint), "served_model_name": "a"}, {"model": str(edited)}]
    with pytest.raises(UserError, match=f"{edited}: tokenizer.json is missing"):
        check_models(find_models(ClusterConfig.model_validate({"models": two})))


def test_a_token_beyond_the_vocabulary_that_prompts_have(edited: Path) -> None:
    """Every chat would be refused. One that no prompt has, as padding, does no harm."""
    vocab = json.loads((edited / "config.json").read_text())["vocab_size"]
    tokens = {str(vocab + 900): {"content": "<pad>", "special": True}}
    changed(edited, SETTINGS, added_tokens_decoder=tokens)
    config = ClusterConfig(model=str(edited))
    check_models(find_models(config))

    changed(edited, SETTINGS, chat_template="<pad>{{ messages[0].content }}")

    assert "the chat template writes '<pad>', which is token" in refused(edited)


def test_a_template_that_wants_another_conversation(edited: Path) -> None:
    changed(edited, SETTINGS, chat_template="{{ raise_exception('a system message first') }}")

    check_models(find_models(ClusterConfig(model=str(edited))))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device": "cuda"}, "device 'cuda' is not here: it needs a GPU and NVIDIA's driver"),
        ({"device": "cuda:1"}, "device must be cuda, and CUDA_VISIBLE_DEVICES say which GPUs"),
        ({"device": "metal"}, "device 'metal' cannot be used: raylax has no kernels for metal"),
        ({"tensor_parallel_shards": 3}, "tensor_parallel_shards must divide the attention heads"),
        ({"pipeline_parallel_stages": 99}, "pipeline_parallel_stages must be at most the 2 layers"),
        ({"engine": {"max_single_sequence_length": 10**6}}, "must be at most the model's "),
    ],
)
def test_engines_that_could_not_run(settings: dict[str, Any], said: str, checkpoint: Path) -> None:
    assert said in refused(checkpoint, **settings)


@pytest.mark.parametrize(
    ("shares", "gpus"),
    [
        ([], 0),
        ([1.0, 1.0], 2),
        ([0.5] * 3, 2),
        ([0.6] * 3, 3),
        ([1 / 3] * 3, 1),
        ([0.1] * 10, 1),
        ([0.1] * 11, 2),
        ([0.3, 0.7, 0.3, 0.7], 2),
        ([1.0, 0.25, 0.75], 2),
    ],
)
def test_a_share_of_a_gpu_lies_on_one(shares: list[float], gpus: int) -> None:
    """Ray would wait for ever for a place for it otherwise, however much is free in all."""
    assert gpus_for(shares) == gpus


def test_a_pool_has_room_for_the_workers_that_there_are_in_any_case(checkpoint: Path) -> None:
    """Those that a model may do without need none."""
    entries = [
        {"model": str(checkpoint), "served_model_name": name, "replicas": count}
        for name, count in (("a", 0), ("b", 2), ("c", 2))
    ]
    given = {"models": entries, "max_replicas": 9, "device": "cpu"}
    fits, small = (
        find_models(ClusterConfig.model_validate({**given, "autoscaling": {"pool": pool}}))
        for pool in (4, 3)
    )
    check_models(fits)

    with pytest.raises(UserError, match="that replicas asks for take 4, and the pool has 3"):
        check_models(small)


def test_more_ranks_than_gpus(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would wait for more for ever. Those of later, by load, need not be there yet."""
    monkeypatch.setattr("raylax.kernels.cuda.driver.count", lambda: 1)
    monkeypatch.setattr("raylax.cluster.models.checks.detect_device", lambda device: "cuda:0")
    said = refused(checkpoint, device="cuda", replicas=3, gpus_per_rank=0.5)
    two = {"model": str(checkpoint), "device": "cuda", "gpus_per_rank": 0.5, "replicas": 2}
    check_models(find_models(ClusterConfig.model_validate({**two, "max_replicas": 9})))

    assert said.startswith("3 ranks of workers need 2 GPUs, and 1 can be seen here")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("", ": no such directory"),
        ("/no/such", "/no/such: no such directory"),
        ("a" * 300, "cannot be read: File name too long"),
        ("a\0b", "'a\\x00b': cannot be read: embedded null byte"),
        ("~nobody-of-this-name/x", "there is no such user"),
        ("m\udce8", "no such directory"),
        (__file__, "is a file; give a GGUF file, or a checkpoint"),
    ],
)
def test_paths_that_are_none(model: str, said: str) -> None:
    assert said in refused(model)


def test_a_name_that_is_given_and_empty() -> None:
    assert "served_model_name must not be empty" in refused("demo", served_model_name="")


@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        ([""], "aliases: each must not be empty"),
        (["a", "a"], "aliases: each must be a name of its own, found a 2 times"),
        (["demo-name"], "found demo-name 2 times"),
    ],
)
def test_aliases_that_mean_nothing_or_too_much(aliases: list[str], said: str) -> None:
    assert said in refused("demo", served_model_name="demo-name", aliases=aliases)


def test_no_two_models_share_an_alias(checkpoint: Path) -> None:
    """What stands at the top is no model's, where there are several."""
    entries = [
        {"model": str(checkpoint), "served_model_name": name, "aliases": [f"{name}-*"]}
        for name in "ab"
    ]
    given = {"models": [*entries, {"model": str(checkpoint), "served_model_name": "c"}]}
    found = find_models(ClusterConfig.model_validate({**given, "aliases": ["x"]}))

    assert [one.config.aliases for one in found] == [("a-*",), ("b-*",), ()]
    with pytest.raises(UserError, match="found a-\\* 2 times"):
        find_models(ClusterConfig.model_validate({"models": [*entries, {**entries[0],
                    "served_model_name": "c"}]}))  # fmt: skip


def test_a_path_of_which_no_process_could_be_told(edited: Path) -> None:
    """Linux has such names; JSON has not."""
    parent = edited.with_name("m\udce8")
    parent.mkdir()
    moved = edited.rename(parent / "model")

    assert "surrogates not allowed" in refused(moved)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model_lib": "/no/lib.so"}, "model_lib /no/lib.so: there is no library"),
        ({"quantization": "q9"}, "quantization 'q9' is not known; known are auto, q0f32"),
    ],
)
def test_what_is_found_while_it_is_built(
    settings: dict[str, Any], said: str, checkpoint: Path
) -> None:
    """Before any worker is made, which would load the model first."""
    config = ClusterConfig.model_validate({"model": str(checkpoint), **settings})
    with pytest.raises(UserError, match=said):
        build_it(config)


def test_a_store_that_cannot_be_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAYLAX_STORE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="Not a directory; RAYLAX_STORE names the directory"):
        build_it(ClusterConfig(model=str(checkpoint)))


@pytest.mark.parametrize(
    ("dtype", "quantization", "device", "said"),
    [
        ("float32", "auto", "cuda", True),
        ("float32", "q0bf16", "cuda", False),
        ("float16", "auto", "cuda", False),
        ("bfloat16", "auto", "cuda", False),
        ("float32", "auto", "cpu", False),
        ("float16", "auto", "cpu", False),
    ],
)
def test_precision_that_nobody_gave_up_is_not_lost_in_silence(
    dtype: str,
    quantization: str,
    device: str,
    said: bool,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A GPU has no float32. A CPU has all three."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    changed(copy, "config.json", dtype=dtype, torch_dtype=dtype)
    (model,) = find_models(ClusterConfig(model=str(copy), quantization=quantization))
    monkeypatch.setattr("raylax.cluster.models.checks.detect_device", lambda _: device)

    told = precision_lost(model)

    assert (told is not None and "--device cpu keeps all of them" in told) is said


def test_a_gpu_that_auto_does_not_take_is_spoken_of(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To nobody who has said which device he wants; nor is there anything to say without one."""
    auto, cpu = (
        find_models(ClusterConfig(model=str(checkpoint), device=device))
        for device in ("auto", "cpu")
    )
    monkeypatch.setattr("raylax.cluster.models.checks.choose", lambda: Choice("cpu"))
    assert unused_gpu(auto) is None

    monkeypatch.setattr("raylax.cluster.models.checks.choose", lambda: Choice("cpu", "why"))
    assert (unused_gpu(auto), unused_gpu(cpu)) == ("why", None)


def build_it(config: ClusterConfig) -> None:
    """As `raylax serve` does."""
    (model,) = find_models(config)
    build(model, plan_engines([model])[0], lambda step, fraction: None)


def test_an_engine_that_echoes_wants_no_weights(checkpoint: Path, tmp_path: Path) -> None:
    """Its texts are looked at as ever; a path is that of a file wherever a process is."""
    for file in checkpoint.glob("*.json"):
        shutil.copy(file, tmp_path)
    values = {"model": str(tmp_path), "model_lib": "mock://echo"}
    config = ClusterConfig.model_validate(values)
    check_models(find_models(config))
    build_it(config)

    assert config.engine_config(1).model_lib == "mock://echo"
    assert "is missing" in refused(tmp_path, model_lib="lib")
    assert Path(str(ClusterConfig(model_lib="lib").model_lib)).is_absolute()
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "tokenizer.json" in refused(tmp_path, model_lib="mock://echo")


def test_a_directory_that_may_not_be_read(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir", denied)

    assert refused(checkpoint) == f"'{checkpoint}': cannot be read: Permission denied"


def test_files_that_come_to_no_end_end_the_start(tmp_path: Path) -> None:
    """A template that never ends, for whatever it is shown; the same with a tokenizer's pattern."""
    path = write_trapped(tmp_path / "model", "{% set n = range(100000) | list %}" + NESTED_LOOPS)
    said = refused(path)
    assert str(path) in said
    assert "the chat template of model may take" in said

    begins = write_trapped(tmp_path / "other", "{{ 'a' * 40 }}", PATTERN)
    said = refused(begins)
    assert str(begins) in said
    assert "the tokenizer of other fails" in said


def test_a_decoder_that_looks_for_patterns_is_refused(edited: Path) -> None:
    """It runs for every token of an answer, where nothing could end it."""
    replace = {"type": "Replace", "pattern": {"Regex": "(a+)+!"}, "content": ""}
    changed(edited, TOKENIZER, decoder=replace)
    assert "its decoder looks for a regular expression" in refused(edited)


@pytest.mark.parametrize(("family", "said"), [("gemma3-images", True), ("gemma3", False)])
def test_what_reads_no_images_is_told(family: str, said: bool, tmp_path: Path) -> None:
    """Of a model that does elsewhere; its text may be served."""
    path = write_family(tmp_path / "model", family)
    (model,) = find_models(ClusterConfig(model=str(path), device="cpu"))
    check_models([model])

    told = "model: only its text is served; what it has for images is left out"
    assert images_unread(model) == (told if said else None)


def test_what_is_kept_of_a_quantised_model_is_told(tmp_path: Path) -> None:
    """Unless it is to be rounded to something else, which was asked for."""
    path = write_quantised(tmp_path / "model")
    auto, named = (
        find_models(ClusterConfig(model=str(path), device="cpu", quantization=name))[0]
        for name in ("auto", "q4f32_1")
    )

    assert precision_lost(auto) == (
        "model: weights stay as they lie in the file: embedding float32; qkv, o, "
        "gate_up and down 8 bits, groups of 128, f32 scales"
    )
    assert precision_lost(named) is None
