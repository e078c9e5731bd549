"""`raylax compile --target`: for GPUs, on a machine that has none: a model's step as a library, or
the kernels that know no model.
"""

import shutil
from pathlib import Path

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.build import Show
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import library
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import chip_named
from raylax.kernels.cuda.library import FACTS
from raylax.kernels.cuda.target import gpu
from raylax.kernels.cuda.variants.table import shared
from raylax.kernels.errors import KernelsError
from raylax.kernels.options import LIBRARY, ModelOptions
from raylax.kernels.shards import Degree
from raylax.kernels.store import Store


def compile_for(
    target: str | None, config: ClusterConfig, checkpoint: Path, output: Path | None, show: Show
) -> Path:
    """Compile for a chip that need not be here. Where the library is: in `output`, or in the store.
    Raises UserError."""
    show("reading the model", None)
    try:
        options = ModelOptions(
            config.quantization,
            device="cuda",
            target=chip_of(target),
            degree=Degree(config.tensor_parallel_shards, config.pipeline_parallel_stages),
        )
        progress = lambda stage, fraction: show(stage, None if fraction < 1 else 1.0)  # noqa: E731
        made = library(open_checkpoint(checkpoint), options, Store(), progress)
        return made if output is None else copied(made, output)
    except (KernelsError, OSError) as error:
        raise UserError(str(error)) from None


def compile_kernels(target: str | None, output: Path | None, show: Show) -> Path:
    """Compile what all models share. The directory: `output`, or one in the store. Raises
    UserError."""
    if target is None:
        raise UserError("compile needs MODEL, or --target cuda/sm_90 for the kernels of all models")
    try:
        chip = chip_named(name_in(target))
        made = cubins_for(shared(chip.number), chip, Store(), show)
        if output is not None:
            shutil.copytree(made, output, dirs_exist_ok=True)
        return output or made
    except (KernelsError, OSError) as error:
        raise UserError(str(error)) from None


def chip_of(target: str | None) -> str:
    """The name of a chip that TVM's graph is compiled for. Raises UserError."""
    return gpu(name_in(target)).name


def name_in(target: str | None) -> str:
    """`cuda/sm_90` names sm_90. Raises UserError."""
    kind, _, chip = (target or "").partition("/")
    if kind != "cuda":
        raise UserError(
            f"--target must be cuda/ and a chip, as cuda/sm_90, found {target!r}; leave it and "
            "--output out to compile for this machine"
        )
    return chip


def copied(made: Path, output: Path) -> Path:
    """The library and its facts, side by side in `output`; the library there."""
    output.mkdir(parents=True, exist_ok=True)
    for name in (LIBRARY, FACTS):
        shutil.copyfile(made.with_name(name), output / name)
    return output / LIBRARY
