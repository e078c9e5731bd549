"""A model's files, read in one place."""

import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from raylax.proto.text.files import TextFiles
from raylax.proto.text.pooling import Pooling


def write(directory: Path, **files: object) -> TextFiles:
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return TextFiles(directory)


def test_files_of_templates_go_before_those_in_a_configuration(tmp_path: Path) -> None:
    def rendered(files: TextFiles) -> dict[str, str]:
        return {name: one.render([]) for name, one in files.chat_templates().named.items()}

    files = write(tmp_path, chat_template={"chat_template": "of a processor"})
    assert rendered(files) == {"default": "of a processor"}

    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "named"}]
    files = write(tmp_path, tokenizer_config={"chat_template": named})
    assert rendered(files) == {"default": "named", "tool_use": "tools"}

    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    (more / "rag.jinja").write_text("documents")
    (tmp_path / "chat_template.jinja").write_text("alone")
    assert rendered(files) == {"default": "alone", "rag": "documents"}


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [(None, None, set()), (2, None, {2}), ([2, 3], 4, {2, 3, 4}), (None, [5], {5})],
)
def test_end_tokens_are_those_of_both_configurations(
    tmp_path: Path, config: object, generation: object, ends: set[int]
) -> None:
    files = write(
        tmp_path,
        config={"eos_token_id": config},
        generation_config={"eos_token_id": generation},
    )

    assert files.end_token_ids == ends


def test_only_the_configuration_and_the_tokenizer_must_be_there(tmp_path: Path) -> None:
    """What is missing is named."""
    files = TextFiles(tmp_path)

    assert (files.generation_config, files.pooling("auto")) == ({}, Pooling())
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        _ = files.config
    with pytest.raises(Exception, match="No such file"):
        files.tokenizer()


@pytest.mark.parametrize("name", ["config", "generation_config", "tokenizer_config"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.json").write_text("{")
    files = TextFiles(tmp_path)

    with pytest.raises(ValueError, match=f"/{name}.json: not valid JSON"):
        {
            "config": lambda: files.config,
            "generation_config": lambda: files.generation_config,
            "tokenizer_config": files.chat_templates,
        }[name]()


def test_the_archive_says_nothing_of_when_the_files_were_written(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Every replica gives out the same one."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    os.utime(copy / "config.json", (0, 2_000_000_000))

    assert TextFiles(copy).archive() == TextFiles(checkpoint).archive()


def test_the_archive_has_every_template_where_it_stands(tmp_path: Path) -> None:
    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    for path in (more / "rag.jinja", more / "tool_use.jinja", tmp_path / "chat_template.jinja"):
        path.write_text(path.stem)

    with ZipFile(BytesIO(TextFiles(tmp_path).archive())) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            "chat_template.jinja": "chat_template",
            "additional_chat_templates/rag.jinja": "rag",
            "additional_chat_templates/tool_use.jinja": "tool_use",
        }


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer_config", []),
        ("tokenizer_config", {"added_tokens_decoder": {"x": {"content": "a"}}}),
        ("tokenizer_config", {"added_tokens_decoder": {"1": {}}}),
        ("tokenizer_config", {"added_tokens_decoder": {"1": 7}}),
        ("tokenizer_config", {"added_tokens_decoder": ["a"]}),
        ("tokenizer_config", {"extra_special_tokens": [7]}),
        ("tokenizer_config", {"extra_special_tokens": [""]}),
        ("tokenizer_config", {"chat_template": 7}),
        ("tokenizer_config", {"chat_template": [{"name": "default"}]}),
        ("tokenizer_config", {"chat_template": ["{{ 1 }}"]}),
        ("tokenizer_config", {"chat_template": "{% if %}"}),
        ("special_tokens_map", "x"),
        ("special_tokens_map", {"additional_special_tokens": [{}]}),
        ("added_tokens", [1]),
        ("added_tokens", {"a": "b"}),
        ("added_tokens", {"a": None, "b": 1}),
        ("chat_template", 7),
        ("chat_template", {"chat_template": [[]]}),
        ("tokenizer", {}),
        ("tokenizer", {"model": {"type": "BPE", "vocab": [], "merges": []}}),
    ],
)
def test_files_that_make_no_sense_are_named(
    checkpoint: Path, tmp_path: Path, file: str, content: object
) -> None:
    """All that the text side reads, whatever stands in it."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    if file == "chat_template":
        (copy / "tokenizer_config.json").unlink()
    files = write(copy, **{file: content})

    with pytest.raises(ValueError, match=file):
        files.tokenizer()
        files.chat_templates()


def test_a_template_in_other_letters_is_named(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")

    with pytest.raises(ValueError, match=r"chat_template\.jinja: not UTF-8"):
        TextFiles(tmp_path).chat_templates()
