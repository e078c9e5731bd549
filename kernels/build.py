"""What is done for a model on either backend: its size, its artefacts, and the model that runs.

The device of the options chooses the backend. TVM's compiler is imported where something has to be
compiled, not with this module.
"""

from dataclasses import dataclass
from pathlib import Path

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cpu.program import MOST_PAGES
from raylax.kernels.cpu.sampler.artefact import load_sampler, sampler_library
from raylax.kernels.cpu.sampler.sampler import Sampler, memory_bytes
from raylax.kernels.cuda.build import build_read, load_on_device, sizes
from raylax.kernels.model import Model, Seat
from raylax.kernels.options import IN_MEMORY, ModelOptions, ProgressCallback, silent
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store


@dataclass(frozen=True)
class Footprint:
    """Bytes that a rank of a model needs, for sizing its KV cache."""

    spec: DecoderSpec
    weights: int
    workspace: int
    page: int
    """Bytes of one page, over all layers."""
    most_pages: int
    """How many pages the kernels can address."""
    packed: str = ""
    """The file of the packed weights: ranks and models that map the same one share its memory,
    whatever their shards. Empty on a GPU, where each rank has its own."""


def footprint(checkpoint: Path, options: ModelOptions, store: Path | None = None) -> Footprint:
    """What a rank of the model will need, without building it. Raises KernelsError."""
    if options.on_gpu:
        read = open_checkpoint(checkpoint)
        return Footprint(options.seen(read.spec), *sizes(read, options))
    artefacts = Artefacts(checkpoint, options, store, silent)
    program = artefacts.program
    return Footprint(
        artefacts.spec,
        program.bytes_of("weight", "layer") // options.degree.ranks,
        program.bytes_of("work", "input", "table", "shared")
        + memory_bytes(options.threads, artefacts.checkpoint.spec.vocab),
        program.bytes_of("state"),
        MOST_PAGES,
        program.weights_key,
    )


def build(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: ProgressCallback = silent,
) -> str:
    """Compile and pack into the store, without running; returns where the machine code will be.

    Raises KernelsError for a model, or `pages`, that cannot be served so, and OSError for a store
    without room.
    """
    if options.on_gpu:
        return str(build_read(open_checkpoint(checkpoint), options, store, progress))
    artefacts = Artefacts(checkpoint, options, store, progress)
    artefacts.program.with_pages(pages)
    artefacts.check_room()
    if (library := artefacts.library()) is None:
        progress("no C compiler is here: the model compiles in memory at every start", 1.0)
    sampler_library(options.target, Store(store))
    artefacts.weights()
    return str(library or IN_MEMORY)


def load_whole(
    checkpoint: Path, options: ModelOptions, pages: int, progress: ProgressCallback = silent
) -> Model:
    """A model that one rank runs alone, found or built, in memory. Raises KernelsError."""
    load = load_on_device if options.on_gpu else load_model
    return load(checkpoint, options, pages, progress=progress)


def load_part(checkpoint: Path, options: ModelOptions, pages: int, seat: Seat) -> Model:
    """What one of several ranks runs of a model. Raises KernelsError."""
    load = load_on_device if options.on_gpu else load_model
    return load(checkpoint, options, pages, seat=seat)


def sampler_for(options: ModelOptions, store: Path | None = None) -> Sampler:
    """What draws from the logits of a model that does not draw by itself, on the threads of its
    steps. Raises CompileError."""
    return load_sampler(options.threads, options.target, store)
