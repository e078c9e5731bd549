"""What people type for a model, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.short_names import ShortName
from raylax.kernels.sources.source import Hub, Local, Repository, source_of

HF: Hub = "huggingface"
MS: Hub = "modelscope"


def meant(model: str, there: str = "", endpoint: str = "") -> object:
    return source_of(model, lambda path: path == there, endpoint)


@pytest.mark.parametrize(
    ("model", "repository"),
    [
        ("org/name", Repository(HF, "org/name")),
        ("org/name-1.5B_x", Repository(HF, "org/name-1.5B_x")),
        ("org/name@v1.0", Repository(HF, "org/name", "v1.0")),
        ("org/name@refs/pr/1", Repository(HF, "org/name", "refs/pr/1")),
        ("org/name:Q4_K_M", Repository(HF, "org/name", quantisations=("Q4_K_M",))),
        ("org/name@main:q8_0", Repository(HF, "org/name", "main", quantisations=("q8_0",))),
        ("org/name:UD-Q4_K_XL", Repository(HF, "org/name", quantisations=("UD-Q4_K_XL",))),
        ("org/name:model-Q4.gguf", Repository(HF, "org/name", inside="model-Q4.gguf")),
        ("org/name/sub/model.gguf", Repository(HF, "org/name", inside="sub/model.gguf")),
        ("org/name@main/model.gguf", Repository(HF, "org/name", "main", "model.gguf")),
        ("HF://org/name", Repository(HF, "org/name")),
        ("hf://org/name/", Repository(HF, "org/name")),
        ("HF://org/name@abc", Repository(HF, "org/name", "abc")),
        ("hf.co/org/name:IQ4_NL", Repository(HF, "org/name", quantisations=("IQ4_NL",))),
        ("huggingface.co/org/name", Repository(HF, "org/name")),
        ("https://huggingface.co/org/name", Repository(HF, "org/name")),
        ("https://huggingface.co/org/name/", Repository(HF, "org/name")),
        ("https://www.huggingface.co/org/name", Repository(HF, "org/name")),
        ("https://hf.co/org/name/tree/v2", Repository(HF, "org/name", "v2")),
        ("https://huggingface.co/org/name/tree/refs%2Fpr%2F3",
         Repository(HF, "org/name", "refs/pr/3")),
        ("https://huggingface.co/org/name/tree/refs/pr/3",
         Repository(HF, "org/name", "refs/pr/3")),
        ("https://huggingface.co/org/name/tree/main/BF16",
         Repository(HF, "org/name", "main", "BF16")),
        ("https://huggingface.co/org/name/blob/main/a%20b.gguf",
         Repository(HF, "org/name", "main", "a b.gguf")),
        ("https://huggingface.co/org/name/resolve/main/x.gguf?download=true",
         Repository(HF, "org/name", "main", "x.gguf")),
        ("ms://org/name", Repository(MS, "org/name")),
        ("ms://org/name@v1:Q8_0", Repository(MS, "org/name", "v1", quantisations=("Q8_0",))),
        ("https://www.modelscope.cn/models/org/name", Repository(MS, "org/name")),
        ("https://modelscope.cn/models/org/name/files", Repository(MS, "org/name")),
        ("modelscope.cn/models/org/name", Repository(MS, "org/name")),
    ],
)  # fmt: skip
def test_a_repository(model: str, repository: Repository) -> None:
    assert meant(model) == repository


def test_the_address_of_a_mirror() -> None:
    said = meant(
        "http://mirror.example:80/hf/org/name/tree/v1", endpoint="http://mirror.example:80/hf/"
    )

    assert said == Repository(HF, "org/name", "v1")


@pytest.mark.parametrize(
    "model",
    ["org/name", "smollm2", "org/name:Q4_K_M", "hf", "a/b/c.gguf"],
)
def test_what_is_here_goes_first(model: str) -> None:
    assert meant(model, there=model) == Local(model)


@pytest.mark.parametrize(
    "model",
    ["/a/b", "./org/name", "../org/name", "~/org/name", "model.gguf", "models/model.gguf", "name",
     "", "a\0b", "org/na\nme", "C:\\models\\x"],
)  # fmt: skip
def test_a_path_is_a_path_where_nothing_is_there_too(model: str) -> None:
    assert meant(model) == Local(model)


@pytest.mark.parametrize(
    ("model", "name", "label"),
    [
        ("smollm2", "smollm2:135m", ""),
        ("SmolLM2", "smollm2:135m", ""),
        ("smollm2:latest", "smollm2:135m", ""),
        ("smollm2:360m", "smollm2:360m", ""),
        ("smollm2:360M-instruct", "smollm2:360m", ""),
        ("qwen2.5:0.5b", "qwen2.5:0.5b", ""),
        ("qwen2.5-coder:1.5b-instruct-q8_0", "qwen2.5-coder:1.5b", "Q8_0"),
        ("smollm2:135m-fp16", "smollm2:135m", "F16"),
    ],
)
def test_a_short_name(model: str, name: str, label: str) -> None:
    found = meant(model)

    assert isinstance(found, ShortName)
    assert (found.known.name, found.label) == (name, label)


@pytest.mark.parametrize("model", ["smollm2:9b", "smollm2:", "smollm3", "smollm2:135m q8"])
def test_no_short_name(model: str) -> None:
    assert meant(model) == Local(model)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("HF://name", "must be org/name, org/name@revision"),
        ("HF://org/../name", "can be no"),
        ("HF://../../etc/passwd", "can be no"),
        ("HF://org/..", "can be no"),
        ("HF://org/name/../../x.gguf", "can be no file's name"),
        ("HF://org/name//x.gguf", "can be no file's name"),
        ("https://huggingface.co/org/name/blob/main/..%2F..%2Fx.gguf", "can be no file's name"),
        ("https://huggingface.co/org/name/tree/..%2F..%2Fx", "can be no revision's name"),
        ("org/name@../../refs", "can be no|must be"),
        ("org/name@-x", "can be no revision's name"),
        ("org/name@a b", "can be no revision's name"),
        ("org/name@", "must be org/name"),
        ("org/name:", "must be org/name"),
        ("org/name:Q4 K", "can be no quantisation's name"),
        ("org/name:a:b", "must be org/name"),
        ("org/na--me", "can be no repository's name"),
        ("org/name.git", "can be no repository's name"),
        ("-org/name", "can be no repository's name"),
        ("org/nämé", "can be no repository's name"),
        ("models of mine/llama", "no such file or directory"),
        (f"org/{'x' * 100}", "at most 96 characters"),
        ("https://example.org/org/name", "must be an address of huggingface.co"),
        ("https://huggingface.co/", "must be org/name"),
        ("https://modelscope.cn/datasets/org/name", "must name a model, as modelscope.cn/models/"),
        ("https://huggingface.co/datasets/org/name", "must name a model, and datasets are none"),
        ("s3://bucket/name", "s3:// is not known; hf://"),
    ],
)
def test_what_can_be_no_repository(model: str, said: str) -> None:
    """One line that says what could be."""
    with pytest.raises(CheckpointError, match=said) as caught:
        meant(model)

    assert str(caught.value).isprintable()


PIECES = st.sampled_from(
    [
        "org",
        "name",
        "/",
        "//",
        ":",
        "@",
        "..",
        ".",
        "-",
        "~",
        "%2F",
        "%2e%2e",
        "?",
        "#",
        "refs",
        "hf://",
        "https://",
        "huggingface.co/",
        "tree",
        "blob",
        "main",
        ".gguf",
        "é",
    ]
    + ["\\", "\0", "\n", " "]
)


@given(st.lists(PIECES, max_size=9).map("".join))
def test_whatever_is_typed_stays_inside_of_a_cache(model: str) -> None:
    """Or is refused in a line."""
    try:
        found = meant(model)
    except CheckpointError as error:
        assert str(error).isprintable()
        return

    if isinstance(found, Repository):
        for part in (*found.name.split("/"), *(found.revision or "main").split("/")):
            assert part.isascii() and part.strip(".") and not part.startswith(".")
        assert found.name.count("/") == 1
        assert found.inside == "" or {"", ".", ".."}.isdisjoint(found.inside.split("/"))
