"""`raylax compile --target`: for GPUs, on a machine that has none: the machine code of a model, or
of the kernels that know no model.
"""

import shutil
from pathlib import Path

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.build import Show
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import form_of, machine_code
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import chip_named
from raylax.kernels.cuda.cubins.facts import LISTED
from raylax.kernels.cuda.variants.table import shared
from raylax.kernels.errors import KernelsError
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from raylax.kernels.store import Store


def compile_for(
    target: str | None, config: ClusterConfig, checkpoint: Path, output: Path | None, show: Show
) -> Path:
    """Compile for a chip that need not be here. The directory: `output`, or one in the store.
    Raises UserError."""
    show("reading the model", None)
    try:
        engine = config.engine_config(1)
        options = ModelOptions(
            engine.quantization,
            engine.kv_dtype,
            "cuda",
            chip_named(name_in(target)).name,
            degree=Degree(config.tensor_parallel_shards, config.pipeline_parallel_stages),
            overlap_launches=engine.overlap_launches,
        )
        form = form_of(open_checkpoint(checkpoint), options)
        return copied(machine_code(form, None, Store(), show), output)
    except (KernelsError, OSError) as error:
        raise UserError(str(error)) from None


def compile_kernels(target: str | None, output: Path | None, show: Show) -> Path:
    """Compile what all models share. The directory: `output`, or one in the store. Raises
    UserError."""
    if target is None:
        raise UserError("compile needs MODEL, or --target cuda/sm_90 for the kernels of all models")
    try:
        chip = chip_named(name_in(target))
        return copied(cubins_for(shared(chip.number), chip, Store(), show), output)
    except (KernelsError, OSError) as error:
        raise UserError(str(error)) from None


def name_in(target: str | None) -> str:
    """`cuda/sm_90` names sm_90. Raises UserError."""
    kind, _, chip = (target or "").partition("/")
    if kind != "cuda":
        raise UserError(
            f"--target must be cuda/ and a chip, as cuda/sm_90, found {target!r}; leave it and "
            "--output out to compile for this machine"
        )
    return chip


def copied(made: Path, output: Path | None) -> Path:
    """Machine code where it is wanted, in a directory of its own: one that is there must be empty,
    or hold what this command wrote. Raises UserError."""
    if output is None:
        return made
    if output.exists() and not (output / LISTED).exists() and any(output.iterdir()):
        rule = "--output must be a new or an empty directory, or one that this command wrote"
        raise UserError(f"{rule}; found {output}")
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(made, output)
    return output
