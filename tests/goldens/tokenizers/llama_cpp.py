"""Writes what llama.cpp makes of the texts beside it: by GGUF files with the tokens here, and by a
real one.

python -m tests.goldens.tokenizers.llama_cpp MODEL.gguf    # where llama_cpp and gguf are

MODEL is SmolLM2-135M-Instruct, whose tokenizer a test asks that has the file.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import llama_cpp
from gguf import GGUFValueType, GGUFWriter

from tests.support.token_files import HERE, PRES, TEXTS, gguf_metadata


def write(path: Path, metadata: dict[str, Any]) -> None:
    """A file with a vocabulary alone."""
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(64)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    for key, value in metadata.items():
        if key.endswith("_id"):
            writer.add_uint32(key, value)
        else:
            writer.add_key_value(key, value, GGUFValueType.get_type(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def ids_of(path: Path) -> list[list[int]]:
    """With what the file puts around a text."""
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return [model.tokenize(text.encode(), add_bos=True, special=True) for text in TEXTS]


def main() -> None:
    goldens = {"smollm2": ids_of(Path(sys.argv[1]))}
    for name in ("spm", "spm_bare", *PRES):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "model.gguf"
            write(path, gguf_metadata(name))
            goldens[name] = ids_of(path)
    lines = [f" {json.dumps(name)}: {json.dumps(one)}" for name, one in goldens.items()]
    (HERE / "llama_cpp.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
