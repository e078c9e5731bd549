"""Machine code between products, and that tables of arguments say what the sources do."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest

import raylax.kernels.cuda.source as source
from raylax.kernels.cuda.variants import attention, pointwise
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.errors import CompileError

SHAPE = AttentionShape(32, 8, 128, "bf16", "int8")
ALL = [
    pointwise.embed("bf16", 4096),
    pointwise.add_norm("bf16", 4096, 4),
    pointwise.final_norm("f16", 4096, 1, bias=True),
    pointwise.rope_append(SHAPE, 4, bias=True),
    attention.combine(SHAPE),
    *attention.attend(SHAPE, 90),
    *attention.attend(replace(SHAPE, window=True, sinks=True), 90),
]


def arguments_of(kernel: str) -> tuple[list[str], list[str]]:
    """Of a kernel's source, which is read, not imported: run-time arguments and constants."""
    module, function = kernel.split(":")
    tree = ast.parse((Path(inspect.getfile(source)).parent / f"{module}.py").read_text())
    (found,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    given = found.args.args
    return [a.arg for a in given if not a.annotation], [a.arg for a in given if a.annotation]


@pytest.mark.parametrize("variant", ALL, ids=lambda v: v.name)
def test_a_table_has_the_arguments_of_its_kernel(variant: Variant) -> None:
    run_time, constants = arguments_of(variant.kernel)

    absent = variant.constants.keys() & set(run_time)
    assert absent == ({"sinks"} if variant.constants.get("SINKS") == 0 else set())
    assert list(variant.types) == [name for name in run_time if name not in absent]
    assert variant.constants.keys() - absent == set(constants)
    assert set(variant.aligned) <= set(variant.types)


def test_names_say_what_differs() -> None:
    made = [
        pointwise.add_norm(precision, width, parts, bias)
        for precision in ("f16", "bf16")
        for width in (2048, 4096)
        for parts in (0, 1, 4)
        for bias in (False, True)
    ]

    assert len({v.name for v in made}) == len(made)
    assert pointwise.rope_append(SHAPE, 4, True).name == "rope_append_bf16_h32_8_128_int8_p4_bias"


@pytest.mark.parametrize("width", [8, 100, 32768])
def test_rows_that_no_kernel_is_made_for_are_refused(width: int) -> None:
    with pytest.raises(CompileError, match=f"16 to 16384 .* has {width}"):
        pointwise.embed("bf16", width)


def test_other_precisions_are_refused() -> None:
    with pytest.raises(CompileError, match="asked for f32"):
        pointwise.add_norm("f32", 4096, 1)
