"""A router finds the texts of its models on the machine that it runs on."""

import json
import shutil
from pathlib import Path

from raylax.cluster.application.texts import with_texts_here
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.router.config import RouterConfig
from tests.support.gguf_files import write_gguf


def test_texts_of_another_machines_store_are_made_here(checkpoint: Path, tmp_path: Path) -> None:
    """Of the same file; a directory that is there is taken as it is."""
    write_gguf(tmp_path)
    file = tmp_path / "model.gguf"
    made = open_checkpoint(file).text
    told = [RouterConfig("a", str(made), "t"), RouterConfig("b", str(checkpoint), "t")]
    checkpoints = [str(file), str(checkpoint)]

    assert with_texts_here(told, checkpoints) == told
    shutil.rmtree(made)  # as if it were elsewhere
    (one, two) = with_texts_here(told, checkpoints)
    assert "model" in json.loads((Path(one.text_files) / "tokenizer.json").read_text())
    assert two == told[1]
