"""Writes the checkpoints of `tests/support/family_checkpoints.py` as llama.cpp's converter does.

    python tests/goldens/gguf/make.py LLAMA_CPP    # its sources; with torch and transformers
    python tests/goldens/gguf/make.py LLAMA_CPP NAME...    # only these

Each is a file of f16 matrices, which hold those weights exactly, compressed. Its vocabulary is made
up here: the converter knows that of real models alone.
"""

import gzip
import logging
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), sys.argv[1], f"{sys.argv[1]}/gguf-py"]

import gguf  # noqa: E402
from conversion import TextModel, get_model_class  # noqa: E402

from tests.support.family_checkpoints import write_family  # noqa: E402
from tests.support.family_configs import CONFIGS, IN_GGUF, OF_OTHERS  # noqa: E402


def vocabulary(model: TextModel) -> None:
    """Of no meaning."""
    tokens = ["t0", "t1", "t", "1", *(f"t{i}" for i in range(4, 99))]
    writer = model.gguf_writer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *[1] * (len(tokens) - 2)])
    writer.add_token_merges(["t 1"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def converted(name: str) -> bytes:
    """The file."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.gguf"
        config = (CONFIGS | OF_OTHERS)[name]
        kind = get_model_class(config["architectures"][0])
        kind.set_vocab = vocabulary
        checkpoint = write_family(Path(folder) / "checkpoint", name)
        model = kind(checkpoint, gguf.LlamaFileType.MOSTLY_F16, made, model_name="tiny")
        model.hparams = {**config, **model.hparams}  # transformers calls some otherwise by now
        model.write()
        return made.read_bytes()


def main() -> None:
    logging.disable(logging.INFO)
    for name in sys.argv[2:] or IN_GGUF:
        content = converted(name)
        (HERE / f"{name}.gguf.gz").write_bytes(gzip.compress(content, mtime=0))
        print(name, len(content))


if __name__ == "__main__":
    main()
