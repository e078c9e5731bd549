"""A model for a GPU: its form, its machine code, what it takes, and the model that runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.quantised.microscaled import KEPT as MXFP4
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import Chip, chip_named, chip_of
from raylax.kernels.cuda.cubins.facts import load
from raylax.kernels.cuda.device.shortage import explained
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.capacity import StepCapacity, weight_bytes
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.families import weights_of
from raylax.kernels.model import Seat
from raylax.kernels.options import PAGE_SIZE, ModelOptions, ProgressCallback, silent
from raylax.kernels.store import Store, jit_policy

AnyModel = TypeVar("AnyModel")
Made = Callable[
    [Checkpoint, ModelOptions, DeviceForm, Path, int, ProgressCallback, Seat | None], AnyModel
]
"""What runs on a device, as `DeviceModel` is made."""
MOST_PAGES = (2**31 - 1) // PAGE_SIZE
"""Slots are int32."""


def target_of(options: ModelOptions) -> Chip:
    """The chip that is named, else the one that is here. Raises CompileError."""
    if options.target is not None:
        return chip_named(options.target)
    here = driver.properties(driver.index_of(options.device))
    return chip_of(here.capability, here.name)


def form_of(checkpoint: Checkpoint, options: ModelOptions) -> DeviceForm:
    """What a checkpoint's model is on the chip of the options. Raises CompileError for what is not
    there on GPUs, by name."""
    spec = options.seen(checkpoint.spec)
    if options.quantization == "auto" and experts_in_e2m1(checkpoint):
        options = replace(options, quantization="mxfp4")
    return DeviceForm.of(spec, checkpoint.dtype, options, target_of(options))


def experts_in_e2m1(checkpoint: Checkpoint) -> bool:
    """Whether all matrices of experts lie in their files as `mxfp4` keeps them. No weight is read
    for it."""
    spec = checkpoint.spec
    matrices = [one for one in weights_of(spec).values() if one.experts and one.is_matrix]
    forms = (
        checkpoint.form(name)
        for one in matrices
        for number in range(one.times(spec.layers))
        for name, _ in one.sources(number)
    )
    return bool(matrices) and all(form == MXFP4 for form in forms)


def machine_code(
    form: DeviceForm, given: str | None, store: Store, progress: ProgressCallback
) -> Path:
    """The directory of a model's machine code: the one that is given, if it is this model's, else
    the store's, where it is compiled if it is not there. Raises CompileError."""
    if given is None:
        jit_policy().check_given("machine code")
        return cubins_for(form.variants(), form.chip, store, progress)
    load(Path(given), form.variants(), form.chip)
    return Path(given)


def build_read(
    read: Checkpoint,
    options: ModelOptions,
    store: Path | None = None,
    progress: ProgressCallback = silent,
) -> Path:
    """Make a model's machine code in the store; where it is. Raises CompileError."""
    return machine_code(form_of(read, options), options.library, Store(store), progress)


def sizes(checkpoint: Checkpoint, options: ModelOptions) -> tuple[int, int, int, int]:
    """Bytes of weights, of workspace, of a page over all layers; and the most pages."""
    return sizes_of(form_of(checkpoint, options), options)


def sizes_of(form: DeviceForm, options: ModelOptions) -> tuple[int, int, int, int]:
    """The same, of what is known to be there."""
    return (
        weight_bytes(form, options.max_sequence_length),
        StepCapacity(form, options).bytes,
        form.layout.page_bytes,
        MOST_PAGES,
    )


def load_on_device(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: ProgressCallback = silent,
    seat: Seat | None = None,
) -> DeviceModel:
    """A model, or a rank's part of one, that is ready to run: its machine code found or compiled,
    its weights on the GPU. `seat`: among the ranks, None for one alone.
    Raises CheckpointError, CompileError, DeviceError."""
    read = open_checkpoint(checkpoint)
    return load_read(DeviceModel, read, options, pages, store, progress, seat)


def load_read(
    kind: Made[AnyModel],
    read: Checkpoint,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: ProgressCallback = silent,
    seat: Seat | None = None,
) -> AnyModel:
    """The same of a checkpoint that is read, as a model of this kind. Raises CompileError,
    DeviceError."""
    form = form_of(read, options)
    cubins = machine_code(form, options.library, Store(store), progress)
    weights, workspace, page, _ = sizes_of(form, options)
    with explained(options.device, weights, workspace, page * pages):
        return kind(read, options, form, cubins, pages, progress, seat)
