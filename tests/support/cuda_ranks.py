"""Ranks that share a model, each in a process with a GPU of the fake driver, which run one test at
the same time. What a test returns has to be the same on all of them."""

import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.formats import quantization_named
from raylax.kernels.cuda.sizes import device_sizes
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.cuda.variants.table import all_for
from raylax.kernels.errors import CompileError
from raylax.kernels.model import Seat
from raylax.kernels.options import ModelOptions, silent
from raylax.kernels.shards import Degree
from raylax.kernels.store import Store
from raylax.worker.comm.nccl.group import NcclGroup, unique_id
from tests.support.cuda_demo import CHIP, DEMO
from tests.support.cuda_fake.child import FakeMachine
from tests.support.cuda_fake.machine import cubins_here, make_driver

MOST = 4
PAGES = 12
RANK = "RAYLAX_TEST_RANK"
MEET_S = 60.0


def rank_cubins(store: Path, *specs: Checkpoint) -> Path:
    """In bf16, for the demo model among 2 and 4 ranks; others among 2. Raises CompileError without
    Triton."""
    demo, formats = open_checkpoint(DEMO).spec, quantization_named("q0bf16", "bfloat16")
    wanted = [(demo, 2), (demo, 4), *((device_sizes(one.spec, formats), 2) for one in specs)]
    variants = [v for spec, n in wanted for v in all_for(spec, CHIP, "bf16", shards=n)]
    unique = list({one.name: one for one in variants}.values())
    return cubins_for(unique, CHIPS[CHIP], Store(store), silent)


class FakeRanks:
    """Processes with a GPU each; the first of them are the ranks of a test."""

    def __init__(self, directory: Path, cubins: Path, count: int = MOST) -> None:
        self._machines = [
            FakeMachine(
                directory,
                [cubins],
                RAYLAX_FAKE_GPUS=str(count),
                CUDA_VISIBLE_DEVICES=str(rank),
                **{RANK: str(rank)},
            )
            for rank in range(count)
        ]

    @classmethod
    def with_code(
        cls, directory: Path, make: Callable[[], Path], count: int = MOST
    ) -> Iterator["FakeRanks"]:
        """As `FakeMachine.with_code`."""
        try:
            make_driver(directory)
            cubins = make()
        except (CompileError, FileNotFoundError) as error:
            pytest.skip(str(error))
        ranks = cls(directory, cubins, count)
        yield ranks
        ranks.close()

    def run(self, module: str, test: str, world: int) -> None:
        """Fails as it has failed on the first rank where it has."""
        for machine in self._machines[:world]:
            machine.begin(module, test)
        found = [machine.end() for machine in self._machines[:world]]
        assert found == found[:1] * world

    def close(self) -> None:
        for machine in self._machines:
            machine.close()


def on_fake_ranks(world: int) -> Callable[[Callable[[], object]], Callable[[FakeRanks], None]]:
    """The test runs on so many ranks: in the processes of the fixture `fake_ranks`."""

    def decorate(test: Callable[[], object]) -> Callable[[FakeRanks], None]:
        def run(fake_ranks: FakeRanks) -> None:
            fake_ranks.run(test.__module__, test.__name__, world)

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        run.body = test  # type: ignore[attr-defined]
        return run

    return decorate


def rank() -> int:
    """This process's."""
    return int(os.environ[RANK])


@cache
def group(name: str, world: int) -> NcclGroup:
    """This rank's end of a group, which has met; `name`: of this group among those of a run."""
    place = Path(os.environ["LD_LIBRARY_PATH"], name)
    if rank() == 0:
        place.with_suffix(".new").write_bytes(unique_id())
        place.with_suffix(".new").rename(place)
    until = time.monotonic() + MEET_S
    while not place.exists():
        assert time.monotonic() < until
        time.sleep(0.005)
    made = NcclGroup(rank(), world, 0, MEET_S)
    made.meet(place.read_bytes())
    return made


def model_of(checkpoint: Path, world: int) -> DeviceModel:
    """This rank's part of a model."""
    degree, (cubins,) = Degree(world), cubins_here()
    sizes = 2, 64, 16, 128
    options = ModelOptions(
        "q0bf16", "auto", "cuda:0", None, *sizes, degree=degree, library=str(cubins)
    )
    seat = Seat(rank(), group=group(f"{checkpoint.name}-{world}", world))
    return load_on_device(checkpoint, options, PAGES, seat=seat)
