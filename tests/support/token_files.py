"""Directories with tokenizers in the files that models have them in: which files, and what stands
beside them. The files themselves, and what others make of them, lie in `goldens/tokenizers`."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.text.sentencepiece import read_piece_model
from tests.support.paths import GOLDENS

HERE = GOLDENS / "tokenizers"
TEXTS: list[str] = json.loads((HERE / "texts.json").read_text())["texts"]
LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CHATML = {
    str(id): {"content": token, "special": special, "normalized": False, "lstrip": False,
              "rstrip": False, "single_word": False}
    for id, (token, special) in enumerate(
        [("<|im_start|>", True), ("<|im_end|>", True), ("<tool>", False)], 801
    )
}  # fmt: skip


PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Mistral's own file says that words are cut."""


@dataclass(frozen=True)
class Directory:
    """What a model's directory has."""

    files: Mapping[str, str]
    """Names there, and here."""
    config: Mapping[str, Any] | None = None
    """tokenizer_config.json."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Other JSON files."""
    model_type: str = "llama"

    def write(self, path: Path) -> Path:
        """Returns the directory."""
        path.mkdir(parents=True, exist_ok=True)
        for there, here in self.files.items():
            shutil.copy(HERE / here, path / there)
        config = {} if self.config is None else {"tokenizer_config.json": self.config}
        model = {"config.json": {"model_type": self.model_type}}
        for name, content in (model | config | dict(self.more)).items():
            (path / name).write_text(json.dumps(content))
        return path


def tekken() -> dict[str, Any]:
    """The same tokens as a tekken.json has them, behind twenty special ones; the last of the file
    are not those of the model."""
    lines = [line.split() for line in (HERE / "ranks.tiktoken").read_text().splitlines()]
    vocab = [{"rank": int(rank), "token_bytes": token} for token, rank in lines]
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<tool>"]
    return {
        "config": {"pattern": PATTERN, "default_vocab_size": 770, "default_num_special_tokens": 20},
        "vocab": vocab,
        "special_tokens": [{"rank": at, "token_str": one} for at, one in enumerate(special)],
    }


def pieces(name: str, config: Mapping[str, Any] | None = None, **more: Any) -> Directory:
    """A tokenizer.model."""
    return Directory({"tokenizer.model": f"{name}.model"}, config, more)


MERGED = {"vocab.json": "vocab.json", "merges.txt": "merges.txt"}
OLDER = {
    "added_tokens.json": {"<|im_start|>": 801, "<|im_end|>": 802, "<tool>": 803},
    "special_tokens_map.json": {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
    },
}
LLAMA_OWN = {"tokenizer_class": "LlamaTokenizer", **LLAMA}
ADDED = {str(id): one for id, one in enumerate(CHATML.values(), 900)}
DIRECTORIES: dict[str, Directory] = {
    "llama": pieces("llama", LLAMA_OWN),
    "llama_alone": pieces("llama"),
    "llama_new": pieces("llama", {**LLAMA_OWN, "legacy": False}),
    "llama_ends": pieces("llama", {**LLAMA_OWN, "add_bos_token": False, "add_eos_token": True}),
    "llama_added": pieces("llama", {**LLAMA_OWN, "legacy": False, "added_tokens_decoder": ADDED}),
    "llama_no_space": pieces("llama", {**LLAMA_OWN, "legacy": False, "add_prefix_space": False}),
    "gemma": pieces("gemma", {**LLAMA_OWN, "add_prefix_space": False}),
    "unigram": pieces("unigram", LLAMA_OWN),
    "unigram_new": pieces("unigram", {**LLAMA_OWN, "legacy": False}),
    "unknown": pieces("unknown", {**LLAMA_OWN, "add_bos_token": False}),
    "gpt2": Directory(MERGED, {"tokenizer_class": "GPT2Tokenizer"}, model_type="gpt2"),
    "gpt2_begun": Directory(
        MERGED,
        {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "bos_token": "<|endoftext|>"},
        model_type="gpt2",
    ),
    "gpt2_space": Directory(
        MERGED, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}, model_type="gpt2"
    ),
    "qwen2": Directory(
        MERGED,
        {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": CHATML},
        model_type="qwen2",
    ),
    "qwen2_older": Directory(MERGED, None, OLDER, "qwen2"),
    "llama3": Directory({"tokenizer.model": "ranks.tiktoken"}),
    "qwen": Directory({"qwen.tiktoken": "ranks.tiktoken"}, model_type="qwen"),
    "gpt4o": Directory({"o200k_base.tiktoken": "ranks.tiktoken"}),
    "cl100k": Directory({"cl100k_base.tiktoken": "ranks.tiktoken"}),
    "r50k": Directory({"r50k_base.tiktoken": "ranks.tiktoken"}),
    "tekken": Directory({}, None, {"tekken.json": tekken()}, "mistral"),
}
TIKTOKEN = {
    "llama3": "",
    "tekken": "",
    "qwen": "",
    "gpt4o": "o200k_base",
    "cl100k": "cl100k_base",
    "r50k": "r50k_base",
}
"""What the library itself has of them."""
NORMAL, CONTROL, OURS = 1, 3, 4
PRES = (
    "default", "gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "stablelm2", "tekken", "gpt-4o",
    "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3", "poro-chat", "viking",
)  # fmt: skip
"""One of each way to cut words that `tokenizer.ggml.pre` may name."""


def gguf_metadata(name: str) -> dict[str, Any]:
    """What a GGUF file says of the same tokens: `spm`, `spm_bare`, or one of PRES."""
    if name.startswith("spm"):
        file = HERE / ("gemma.model" if name == "spm_bare" else "llama.model")
        model = read_piece_model(file.read_bytes(), file)
        told: dict[str, Any] = {"model": "llama", "tokens": model.pieces, "scores": model.scores,
                                "token_type": model.kinds, "bos_token_id": 1, "eos_token_id": 2,
                                "unknown_token_id": 0}  # fmt: skip
        if name == "spm_bare":
            told |= {"add_space_prefix": False, "add_bos_token": False, "add_eos_token": True}
    else:
        vocab = json.loads((HERE / "vocab.json").read_text())
        tokens = [*sorted(vocab, key=vocab.__getitem__), "<|im_start|>", "<|im_end|>", "<tool>"]
        kinds = [NORMAL] * (len(tokens) - 4) + [CONTROL, CONTROL, CONTROL, OURS]
        merges = (HERE / "merges.txt").read_text().splitlines()[1:]
        end = tokens.index("<|endoftext|>")
        told = {"model": "gpt2", "pre": name, "tokens": tokens, "token_type": kinds,
                "merges": merges, "bos_token_id": end, "eos_token_id": end}  # fmt: skip
    return {f"tokenizer.ggml.{key}": value for key, value in told.items()}
