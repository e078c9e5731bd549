"""Machine code between products, and that tables of arguments say what the sources do."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest

import raylax.kernels.cuda.source as source
from raylax.kernels.cuda.variants import attention, elementwise, pointwise
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.pointwise import Norms
from raylax.kernels.errors import CompileError
from tests.support.cuda_models import MODELS

SHAPE = AttentionShape(32, 8, 128, "bf16", "int8")
EVERY = Norms(wide=True, layer=True, shifted=True, after=True, scaled=True)
LLAMA = MODELS[0][0]
ALL = [
    pointwise.embed("bf16", 4096),
    pointwise.embed("bf16", 4096, scaled=True),
    pointwise.embed("bf16", 4096, placed=True),
    pointwise.add_norm("bf16", 4096, 4),
    pointwise.add_norm("bf16", 4096, 4, norms=EVERY),
    pointwise.add_norm("bf16", 4096, 4, norms=EVERY, to="the row"),
    pointwise.final_norm("f16", 4096, 1, bias=True),
    pointwise.final_norm("f16", 4096, 1, norms=Norms(after=True)),
    pointwise.rope_append(SHAPE, 4, bias=True),
    pointwise.rope_append(SHAPE, 4, qk="head"),
    pointwise.rope_append(SHAPE, 4, qk="whole"),
    pointwise.root_of_heads(SHAPE, 4),
    elementwise.activate(LLAMA, "f16", 4),
    elementwise.cap_logits(capped=True),
    elementwise.cap_logits(capped=False),
    attention.combine(SHAPE),
    *attention.attend(SHAPE, 90),
    *attention.attend(replace(SHAPE, window=True, sinks=True), 90),
    *attention.attend(replace(SHAPE, window=True, learned=True), 90),
    attention.combine(replace(SHAPE, learned=True)),
]


BELONGS = {
    "SINKS": {"sinks"}, "SCALED": {"scale"}, "PLACED": {"positions", "places"},
    "LAYER": {"own"}, "SHIFTED": {"shift", "after_shift"}, "AFTER": {"after", "after_shift"},
    "CAPPED": {"softcap"}, "LEARNED": {"learned"},
}  # fmt: skip
"""Arguments that are none where a trait is off."""


def unused(variant: Variant) -> set[str]:
    """Of norms of queries and keys, those of the other kinds."""
    of_norms = {0: {"norms", "roots", "eps"}, 1: {"roots"}, 2: {"eps"}}
    return of_norms[variant.constants["QK"]] if "QK" in variant.constants else set()


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
    off = {trait for trait in BELONGS if not variant.constants.get(trait, True)}
    assert absent == {one for trait in off for one in BELONGS[trait]} | unused(variant)
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


def test_the_kind_of_llama_has_the_code_that_it_had() -> None:
    """A trait is seen in the name of what it changes, and in nothing else."""
    plain = pointwise.add_norm("bf16", 4096, 4)

    assert pointwise.add_norm("bf16", 4096, 4, norms=Norms.of(LLAMA)) == plain
    assert pointwise.embed_of(LLAMA, "bf16") == pointwise.embed("bf16", 4096)
    made = [pointwise.add_norm("bf16", 4096, 4, norms=EVERY, to=to) for to in pointwise.TO]
    assert len({one.name for one in [plain, *made]}) == 4
    first = pointwise.add_norm("bf16", 4096, 0, norms=EVERY)
    assert first.name == "add_norm_bf16_4096_p0_wide_layer_shifted"


@pytest.mark.parametrize("width", [8, 100, 32768])
def test_rows_that_no_kernel_is_made_for_are_refused(width: int) -> None:
    with pytest.raises(CompileError, match=f"16 to 16384 .* has {width}"):
        pointwise.embed("bf16", width)


def test_wide_rows_behind_two_norms_are_refused() -> None:
    """Their registers do not suffice on all chips."""
    two = Norms(after=True)
    with pytest.raises(CompileError, match="at most 8192 .* where norms stand behind .* has 9216"):
        pointwise.final_norm("bf16", 9216, 1, norms=two)

    assert pointwise.add_norm("bf16", 9216, 0, norms=two).name == "add_norm_bf16_9216_p0"


def test_other_precisions_are_refused() -> None:
    with pytest.raises(CompileError, match="asked for f32"):
        pointwise.add_norm("f32", 4096, 1)
