"""The table of families is what the code reads."""

import pytest

from raylax.cluster.models.families import ROWS
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.families import spec_of
from raylax.kernels.families.known import FAMILIES
from raylax.kernels.families.nested import NESTED
from raylax.kernels.options import ModelOptions
from raylax.proto.parsers.reasoning import REASONING_NAMES
from raylax.proto.parsers.tools.formats import TOOL_PARSERS
from tests.support.cluster_reference import MODELS, models_page
from tests.support.family_configs import CONFIGS


def test_every_architecture_has_one_row() -> None:
    named = [name for row in ROWS for name in row.architectures]

    assert sorted(named) == sorted({**FAMILIES, **NESTED})


def test_the_parsers_are_those_that_there_are() -> None:
    assert {row.tools for row in ROWS} <= {"", *TOOL_PARSERS}
    assert {row.thoughts for row in ROWS} <= {"", *REASONING_NAMES}


@pytest.mark.parametrize("name", CONFIGS)
def test_gpus_compute_all_of_them(name: str) -> None:
    """With whatever traits they have."""
    spec, options = spec_of(CONFIGS[name]), ModelOptions(device="cuda:0", target="sm_90")

    assert DeviceForm.of(spec, "bfloat16", options, CHIPS[90]).variants()


def test_the_page_has_the_table() -> None:
    """Else run `scripts/reference`."""
    page = MODELS.read_text()

    assert models_page(page) == page
