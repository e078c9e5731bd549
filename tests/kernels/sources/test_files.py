"""Which files of a repository are a model."""

import pytest

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.files import Listed, wanted
from raylax.kernels.sources.source import Repository

TEXT = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
OTHER = ["README.md", ".gitattributes", "LICENSE", "original/consolidated.00.pth",
         "onnx/model.onnx", "pytorch_model.bin.index.txt", "original/tokenizer.model",
         "runs/events.out"]  # fmt: skip


def chosen(names: list[str], asked: Repository | None = None) -> tuple[list[str], str]:
    """Names of what is taken, and which of it is the model."""
    listing = [Listed(name, 1, "") for name in names]
    found = wanted(listing, asked or Repository("huggingface", "org/name"))
    return sorted(file.path for file in found.files), found.model


@pytest.mark.parametrize(
    ("weights", "others"),
    [
        (["model.safetensors"], ["pytorch_model.bin", "model-Q4_K_M.gguf", "tf_model.h5"]),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
          "model.safetensors.index.json"],
         ["consolidated.safetensors", "model.safetensors", "flax_model.msgpack"]),
        (["pytorch_model.bin"], ["training_args.bin", "optimizer.pt"]),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin",
          "pytorch_model.bin.index.json"], ["scheduler.bin"]),
        (["gptq_model-4bit-128g.safetensors", "quantize_config.json"], ["pytorch_model.bin"]),
        (["model.safetensors", "tokenizer.model", "chat_template.jinja", "merges.txt", "vocab.json",
          "qwen.tiktoken", "added_tokens.json"], []),
    ],
)  # fmt: skip
def test_a_checkpoint_has_one_set_of_weights(weights: list[str], others: list[str]) -> None:
    """And all that text is made by."""
    taken, model = chosen([*TEXT, *weights, *others, *OTHER])

    assert (taken, model) == (sorted([*TEXT, *weights]), "")


def test_a_package_of_mlc() -> None:
    package = ["mlc-chat-config.json", "ndarray-cache.json", "params_shard_0.bin",
               "params_shard_1.bin", "tokenizer.json"]  # fmt: skip

    assert chosen([*package, *OTHER]) == (sorted(package), "")


def test_a_directory_of_a_repository() -> None:
    inside = [f"BF16/{name}" for name in [*TEXT, "model.safetensors"]]
    asked = Repository("huggingface", "org/name", inside="BF16")

    assert chosen([*TEXT, "model.safetensors", *inside], asked) == (sorted(inside), "BF16")


BARTOWSKI = [f"Some-Model-7B-{q}.gguf" for q in ("IQ4_XS", "Q4_0", "Q4_0_4_4", "Q4_K_M", "Q8_0")]
LOWER = [f"some-model-7b-{q}.gguf" for q in ("q4_0", "q4_k_m", "q8_0", "fp16")]
DOTTED = [f"some-model-7b.{q}.gguf" for q in ("Q2_K", "Q4_K_M", "Q8_0", "i1-Q5_K_M")]
SPLIT = [f"q8_0/model-q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
UNSLOTH = ["M-UD-Q4_K_XL.gguf", "M-UD-Q4_K_M.gguf", "M-Q4_K_M.gguf", "M-BF16.gguf", "M-F16.gguf"]
FOLDERS = ["Q4_K_M/model.gguf", "Q8_0/model.gguf"]
BESIDE = ["mmproj-model-Q8_0.gguf", "imatrix_Q4_K_M.gguf", "mtp-model-Q4_K_M.gguf", "config.json"]


@pytest.mark.parametrize(
    ("names", "label", "taken"),
    [
        (BARTOWSKI, "Q4_K_M", ["Some-Model-7B-Q4_K_M.gguf"]),
        (BARTOWSKI, "q4_k_m", ["Some-Model-7B-Q4_K_M.gguf"]),
        (BARTOWSKI, "Q4_0", ["Some-Model-7B-Q4_0.gguf"]),
        (BARTOWSKI, "Q4_0_4_4", ["Some-Model-7B-Q4_0_4_4.gguf"]),
        (BARTOWSKI, "IQ4_XS", ["Some-Model-7B-IQ4_XS.gguf"]),
        (LOWER, "Q8_0", ["some-model-7b-q8_0.gguf"]),
        (LOWER, "F16", ["some-model-7b-fp16.gguf"]),
        (LOWER, "FP16", ["some-model-7b-fp16.gguf"]),
        (DOTTED, "Q2_K", ["some-model-7b.Q2_K.gguf"]),
        (DOTTED, "Q5_K_M", ["some-model-7b.i1-Q5_K_M.gguf"]),
        (DOTTED, "i1-Q5_K_M", ["some-model-7b.i1-Q5_K_M.gguf"]),
        (SPLIT, "Q8_0", SPLIT),
        (UNSLOTH, "UD-Q4_K_XL", ["M-UD-Q4_K_XL.gguf"]),
        (UNSLOTH, "Q4_K_XL", ["M-UD-Q4_K_XL.gguf"]),
        (UNSLOTH, "Q4_K_M", ["M-Q4_K_M.gguf"]),
        (UNSLOTH, "F16", ["M-F16.gguf"]),
        (FOLDERS, "Q8_0", ["Q8_0/model.gguf"]),
        (BARTOWSKI, "", ["Some-Model-7B-Q4_K_M.gguf"]),
        (SPLIT, "", SPLIT),
        (["odd-name.gguf"], "", ["odd-name.gguf"]),
        (["M-Q3_K_S.gguf"], "", ["M-Q3_K_S.gguf"]),
    ],
)
def test_a_gguf_by_its_quantisation(names: list[str], label: str, taken: list[str]) -> None:
    """As llama.cpp and Ollama pick it; where nobody says, Q4_K_M, then Q8_0, then the only one."""
    asked = Repository("huggingface", "org/name", quantisations=(label,) if label else ())

    assert chosen([*names, *BESIDE], asked) == (taken, taken[0])


def test_the_first_of_several_that_would_do() -> None:
    asked = Repository("huggingface", "org/name", quantisations=("Q8_0", "Q4_K_M"))

    assert chosen(["m-Q4_K_M.gguf", "m-Q2_K.gguf"], asked) == (["m-Q4_K_M.gguf"], "m-Q4_K_M.gguf")


def test_a_gguf_by_its_name() -> None:
    """Any part of one that was split names all of it."""
    whole = Repository("huggingface", "org/name", inside="M-BF16.gguf")
    part = Repository("huggingface", "org/name", inside=SPLIT[1])

    assert chosen(UNSLOTH, whole) == (["M-BF16.gguf"], "M-BF16.gguf")
    assert chosen(SPLIT, part) == (SPLIT, SPLIT[0])


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        (BARTOWSKI, {"quantisations": ("Q5_K_M",)},
         "has no GGUF of Q5_K_M, but IQ4_XS, Q4_0, Q4_0_4_4, Q4_K_M, Q8_0"),
        (["a-Q8_0.gguf", "b-Q8_0.gguf"], {"quantisations": ("Q8_0",)},
         "2 models there are Q8_0: name one as org/name/FILE; a-Q8_0.gguf, b-Q8_0.gguf"),
        (["a-Q2_K.gguf", "a-Q3_K_S.gguf"], {}, "has no GGUF of Q4_K_M or Q8_0, but Q2_K, Q3_K_S"),
        (SPLIT[:2], {}, "q8_0/model-q8_0 is of 3 parts, and 2 are there"),
        (SPLIT[:2], {"inside": SPLIT[0]}, "is of 3 parts, and 2 are there"),
        (OTHER, {}, "there is no model of ours in it"),
        ([*TEXT, "model.onnx"], {}, "there is no model of ours in it"),
        (["model.safetensors"], {}, "there is no model of ours in it"),
        (BARTOWSKI, {"inside": "x.gguf"}, "no such file there; there are Some-Model-7B-IQ4"),
        (BARTOWSKI, {"inside": "BF16"}, "no such file or directory there; there are Some-Model"),
        ([*BARTOWSKI, "../../x.gguf"], {}, "lists '../../x.gguf', which is no name of a file"),
        ([*BARTOWSKI, "/etc/x.json"], {}, "which is no name of a file"),
        ([*BARTOWSKI, "a/./x.json"], {}, "which is no name of a file"),
        ([*BARTOWSKI, "a\nb.json"], {}, "which is no name of a file"),
        ([*BARTOWSKI, "..\\x.json"], {}, "which is no name of a file"),
        ([f"{i}.gguf" for i in range(20_001)], {}, "may list 20000 files, found 20001"),
    ],
)  # fmt: skip
def test_what_is_not_there_or_not_one_thing(
    names: list[str], asked: dict[str, object], said: str
) -> None:
    """One line that says what there is."""
    with pytest.raises(CheckpointError) as caught:
        chosen(names, Repository("huggingface", "org/name", **asked))  # type: ignore[arg-type]

    assert said in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 2000
