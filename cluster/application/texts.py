"""Where the texts of models lie on this machine.

They may have been made of a model's files, into the store of the machine that deployed it: another
machine makes its own, of the same files.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.router.config import RouterConfig


def with_texts_here(
    configs: Sequence[RouterConfig], checkpoints: Sequence[str]
) -> list[RouterConfig]:
    """The same, each with a directory of texts that is there. `checkpoints`: of the models, in
    order. Raises CheckpointError for files that are no longer those of a model."""
    return [
        config
        if Path(config.text_files).exists()
        else replace(config, text_files=str(open_checkpoint(Path(checkpoint), weights=False).text))
        for config, checkpoint in zip(configs, checkpoints, strict=True)
    ]
