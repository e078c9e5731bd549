"""Weights that others have quantised are what those say they are: by their own code where that runs
here, and else packed as it is published."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.bf16 import from_bf16
from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.checkpoints.quantised.bitsandbytes import FOUR_BITS
from raylax.kernels.checkpoints.quantised.compressed import PACKED
from raylax.kernels.checkpoints.quantised.microscaled import HALVES, MXFP4_BLOCKS, POWERS
from raylax.kernels.checkpoints.quantised.schemes import FORMATS
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.checkpoints.safetensors import read_header
from raylax.kernels.e4m3 import from_e4m3, to_e4m3
from raylax.kernels.errors import CheckpointError
from tests.goldens.compressed_formats import FORMATS as COMPRESSED
from tests.support.checkpoints import write_checkpoint
from tests.support.paths import GOLDENS
from tests.support.rows import same_by_rows, same_in_groups
from tests.support.safetensors_files import save_as

Parts = dict[str, np.ndarray]
BITS_4 = {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}}
BITS_8 = {"config_groups": {"group_0": {"weights": {"num_bits": 8}}}}
DOWN = "model.layers.1.mlp.down_proj"


def of_llm_compressor(form: str, said: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The scheme that a format has, and what a config says."""
    (scheme,) = FORMATS[form]
    return scheme, {"config_groups": {"group_0": {"weights": said}}}


IN_GROUPS = (
    "packed4", "packed4_zero", "packed8", "w4_channel", "w4_group", "w4_group_zero",
    "w8_channel_zero", "w8a8_channel", "w8a8_tensor_zero", "naive_int",
    "mxfp4", "gpt_oss",
)  # fmt: skip
"""Those that are kept as they are."""


@pytest.mark.parametrize(
    ("name", "scheme", "settings"),
    [
        ("packed4", PACKED, BITS_4),
        ("packed4_zero", PACKED, BITS_4),
        ("packed8", PACKED, BITS_8),
        ("nf4", FOUR_BITS[0], {}),
        ("nf4_nested", FOUR_BITS[0], {}),
        ("fp4", FOUR_BITS[1], {}),
        ("gpt_oss", MXFP4_BLOCKS, {}),
        *((name, *of_llm_compressor(*how)) for name, how in COMPRESSED.items()),
    ],
)
def test_they_are_what_their_makers_code_says(
    name: str, scheme: Any, settings: dict[str, Any]
) -> None:
    """tests/goldens/quantised.py"""
    found = read_header(GOLDENS / "quantised.safetensors")
    own = (n for n in found if n.startswith(f"{name}."))
    parts = {n.removeprefix(f"{name}."): found[n] for n in own}
    with np.load(GOLDENS / "quantised.npz") as file:
        want = file[name]
    whole = slice(0, len(want))

    assert scheme.shape(parts, settings) == want.shape
    values = scheme.values(parts, settings, whole)
    assert np.abs(values - want).max() <= 1e-7 * np.abs(want).max() + 1e-8
    if (kind := scheme.kind(parts, settings)) is not None:
        groups = scheme.groups(kind, parts, settings, whole)
        assert np.array_equal(groups.values(), scheme.values(parts, settings, whole))
    assert (kind is not None) == (name in IN_GROUPS)
    same_by_rows(lambda rows: scheme.values(parts, settings, slice(*rows.indices(len(want))[:2])))


def packed(codes: np.ndarray, bits: int, order: tuple[int, ...]) -> np.ndarray:
    """Along the last axis into int32, digit by digit."""
    per = 32 // bits
    words = np.zeros((*codes.shape[:-1], codes.shape[-1] // per), np.uint32)
    for word in range(words.shape[-1]):
        for i in range(per):
            words[..., word] |= codes[..., word * per + order[i]].astype(np.uint32) << (bits * i)
    return words.view(np.int32)


def awq(rng: np.random.Generator, outputs: int, inputs: int) -> tuple[Parts, np.ndarray]:
    order, groups = (0, 2, 4, 6, 1, 3, 5, 7), inputs // 32
    codes, zeros = rng.integers(0, 16, (inputs, outputs)), rng.integers(0, 16, (groups, outputs))
    scales = rng.uniform(0.01, 0.02, (groups, outputs)).astype(np.float16)
    means = (codes - zeros.repeat(32, 0)) * scales.astype(np.float32).repeat(32, 0)
    return {
        "qweight": packed(codes, 4, order), "qzeros": packed(zeros, 4, order), "scales": scales
    }, means.T  # fmt: skip


def gptq(
    rng: np.random.Generator, outputs: int, inputs: int, bits: int = 4, mixed: bool = True
) -> tuple[Parts, np.ndarray]:
    """`mixed`: in the order of what inputs do: any input may be of any group."""
    plain, groups, most = tuple(range(16)), inputs // 32, 1 << bits
    codes = rng.integers(0, most, (inputs, outputs))
    zeros = rng.integers(1, most, (groups, outputs))
    scales = rng.uniform(0.01, 0.02, (groups, outputs)).astype(np.float16)
    index = (np.arange(inputs) // 32).astype(np.int32)
    index = rng.permutation(index) if mixed else index
    means = (codes - zeros[index]) * scales.astype(np.float32)[index]
    return {
        "qweight": np.ascontiguousarray(packed(codes.T, bits, plain).T),
        "qzeros": packed(zeros - 1, bits, plain),
        "scales": scales,
        "g_idx": index,
    }, means.T


def blocks(rng: np.random.Generator, outputs: int, inputs: int) -> tuple[Parts, np.ndarray]:
    codes = to_e4m3(rng.normal(0, 100, (outputs, inputs)).astype(np.float32))
    scales = rng.uniform(0.001, 0.002, (-(-outputs // 48), -(-inputs // 48))).astype(np.float32)
    wide = scales.repeat(48, 0)[:outputs].repeat(48, 1)[:, :inputs]
    return {"weight": codes, "weight_scale_inv": scales}, from_e4m3(codes) * wide


def rows(rng: np.random.Generator, outputs: int, inputs: int) -> tuple[Parts, np.ndarray]:
    codes = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    scales = rng.uniform(0.001, 0.002, (outputs, 1)).astype(np.float32)
    return {"weight": codes, "weight_scale": scales}, codes * scales


def llm_int8(rng: np.random.Generator, outputs: int, inputs: int) -> tuple[Parts, np.ndarray]:
    codes = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    scales = rng.uniform(0.1, 0.2, outputs).astype(np.float32)
    return {"weight": codes, "SCB": scales}, codes * (scales / np.float32(127))[:, None]


def e2m1(rng: np.random.Generator, outputs: int, inputs: int) -> tuple[Parts, np.ndarray]:
    codes = rng.integers(0, 16, (outputs, inputs)).astype(np.uint8)
    scales = rng.integers(110, 130, (outputs, inputs // 32)).astype(np.uint8)
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    means = np.where(codes < 8, 1, -1) * table[codes & 7] * 2.0 ** (scales - 127.0).repeat(32, 1)
    pairs = (codes[:, ::2] | codes[:, 1::2] << 4).reshape(outputs, inputs // 32, 16)
    return {"weight_blocks": pairs, "weight_scales": scales}, means


Maker = Callable[[np.random.Generator, int, int], tuple[Parts, np.ndarray]]
CASES: list[tuple[Maker, dict[str, Any], Kind | str]] = [
    (awq, {"quant_method": "awq", "bits": 4, "group_size": 32}, Kind(4, offset="zero")),
    (gptq, {"quant_method": "gptq", "bits": 4, "desc_act": True}, "GPTQ"),
    (partial(gptq, bits=8, mixed=False), {"quant_method": "gptq", "bits": 8},
     Kind(8, offset="zero")),
    (partial(gptq, bits=2, mixed=False), {"quant_method": "gptq", "bits": 2},
     Kind(4, offset="zero")),
    (blocks, {"quant_method": "fp8", "weight_block_size": [48, 48]}, "fp8"),
    (rows, {"quant_method": "compressed-tensors", "format": "int-quantized"}, Kind(8, 128, "f32")),
    (llm_int8, {"quant_method": "bitsandbytes", "load_in_8bit": True}, Kind(8, 128, "f32")),
    (e2m1, {"quant_method": "mxfp4"}, Kind(4, scale="bf16", table="e2m1")),
]  # fmt: skip
"""Who makes them, what the config says, and the form that they are kept in."""


def change_config(path: Path, **changed: Any) -> None:
    file = path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def quantised(path: Path, make: Maker, settings: dict[str, Any]) -> tuple[Path, np.ndarray]:
    """A checkpoint of which one matrix is quantised, and what that is."""
    write_checkpoint(path)
    file = path / "model.safetensors"
    tensors = load_file(file)
    parts, means = make(np.random.default_rng(5), *tensors.pop(f"{DOWN}.weight").shape)
    header = {f"{DOWN}.{name}": np.ascontiguousarray(one) for name, one in parts.items()}
    bytes_are = "F8_E4M3" if parts.get("weight", np.empty(0)).dtype == np.uint8 else ""
    save_as(file, tensors | header, {f"{DOWN}.weight": bytes_are})
    change_config(path, quantization_config=settings)
    return path, means


@pytest.mark.parametrize(("make", "settings", "form"), CASES)
def test_a_checkpoint_has_them_in_their_place(
    make: Maker, settings: dict[str, Any], form: Kind | str, tmp_path: Path
) -> None:
    """As numbers, and as the groups that they are: the same."""
    checkpoint, want = quantised(tmp_path, make, settings)

    found = open_checkpoint(checkpoint).tensor(f"{DOWN}.weight")

    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert np.abs(found - want).max() < 1e-6 * np.abs(want).max() + 1e-7
    same_by_rows(partial(open_checkpoint(checkpoint).tensor, f"{DOWN}.weight"))
    assert same_in_groups(open_checkpoint(checkpoint), f"{DOWN}.weight") == form


def test_three_bits_run_over_into_the_next_word() -> None:
    """As a stream from the lowest bit on."""
    from raylax.kernels.checkpoints.quantised.base import digits

    codes = np.random.default_rng(1).integers(0, 8, (32, 5))
    whole = [sum(int(one) << 3 * i for i, one in enumerate(column)) for column in codes.T]
    words = np.array([[n >> 32 * i & 0xFFFFFFFF for n in whole] for i in range(3)], np.uint32)

    assert np.array_equal(digits(words.view(np.int32), 3, 0), codes)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quant_method": "hqq"}, "quantised by hqq, which is not read; read are awq, gptq, fp8"),
        (
            {"quant_method": "compressed-tensors", "format": "marlin-24"},
            "compressed-tensors mar",
        ),
        ({"quant_method": "awq", "bits": 3}, "AWQ has 4 bits, found 3"),
        (
            {"quant_method": "fp8"},
            rf"tensor {DOWN}.weight of shape .* is missing",
        ),
        ("awq", "quantization_config must be an object"),
    ],
)
def test_what_is_not_read_is_named(settings: Any, said: str, tmp_path: Path) -> None:
    checkpoint, _ = quantised(tmp_path, awq, settings)

    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(checkpoint)


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    make: Maker = lambda *a: ({k: v for k, v in awq(*a)[0].items() if k != "scales"}, awq(*a)[1])  # noqa: E731
    checkpoint, _ = quantised(tmp_path, make, {"quant_method": "awq"})

    with pytest.raises(CheckpointError, match=f"tensor {DOWN}.scales is missing"):
        open_checkpoint(checkpoint)


Change = Callable[[Parts], Parts]


def shorter(name: str, axis: int = 0, by: int = 1) -> Change:
    """With a part that is cut along an axis."""

    def cut(parts: Parts) -> Parts:
        own = tuple(slice(0, n - by if i == axis else n) for i, n in enumerate(parts[name].shape))
        return parts | {name: parts[name][own]}

    return cut


def without(name: str, then: Change) -> Change:
    return lambda parts: then({end: one for end, one in parts.items() if end != name})


@pytest.mark.parametrize(
    ("case", "change", "said"),
    [
        (0, shorter("scales", 1), r"scales must have the shape \(3, 64\), found \(3, 63\)"),
        (0, shorter("qzeros", 1), r"qzeros must have the shape \(3, 8\), found \(3, 7\)"),
        (0, shorter("qweight"), r"95 inputs are not 3 groups of one size"),
        (1, shorter("g_idx"), r"g_idx must have the shape \(96,\), found \(95,\)"),
        (1, shorter("qzeros"), r"qzeros must have the shape \(3, 8\), found \(2, 8\)"),
        (1, without("g_idx", shorter("qweight")), r"88 inputs are not 3 groups of one size"),
        (4, shorter("weight_scale_inv"), r"weight_scale_inv must have the shape \(2, 2\), found"),
        (5, shorter("weight_scale"), r"weight_scale must have the shape \(64, 1\) or"),
        (
            7,
            shorter("weight_scales"),
            r"weight_scales must have the shape \(64, 3\), found \(63, 3",
        ),
        (
            7,
            shorter("weight_blocks", 2),
            r"blocks must be .rows, groups, 16., found \(64, 3, 15",
        ),
        (6, shorter("SCB"), r"SCB must have the shape \(64,\), found \(63,\)"),
    ],
)
def test_parts_that_do_not_fit_are_said_to(
    case: int, change: Change, said: str, tmp_path: Path
) -> None:
    """When the checkpoint is opened, before anything is read."""
    make, settings, _ = CASES[case]

    def uneven(*given: Any) -> tuple[Parts, np.ndarray]:
        parts, means = make(*given)
        return change(parts), means

    checkpoint, _ = quantised(tmp_path, uneven, settings)

    with pytest.raises(CheckpointError, match=f"{DOWN}: parts do not fit together: {said}"):
        open_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (awq, {"quant_method": "awq", "bits": 4, "group_size": 36}),
        (partial(gptq, mixed=False), {"quant_method": "gptq", "bits": 4, "group_size": 36}),
    ],
)
def test_a_last_group_that_is_not_full_is_not_taken_for_smaller_groups(
    make: Maker, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Of 96 inputs there are three groups of 32 as well as of 36: which inputs a scale is of, only
    the config tells."""

    def plain(*given: Any) -> tuple[Parts, np.ndarray]:
        parts, means = make(*given)
        return {name: one for name, one in parts.items() if name != "g_idx"}, means

    checkpoint, _ = quantised(tmp_path, plain, settings)

    with pytest.raises(CheckpointError, match="96 inputs are no whole groups of 36"):
        open_checkpoint(checkpoint)


def test_an_input_of_a_group_that_there_is_not_is_said_to(tmp_path: Path) -> None:
    """Counted from the end, as Python would, is not what is meant."""

    def odd(*given: Any) -> tuple[Parts, np.ndarray]:
        parts, means = gptq(*given)
        parts["g_idx"][5] = -1
        return parts, means

    checkpoint, _ = quantised(tmp_path, odd, {"quant_method": "gptq", "bits": 4})

    with pytest.raises(CheckpointError, match="an input is of group -1"):
        open_checkpoint(checkpoint).tensor(f"{DOWN}.weight")


def test_blocks_are_found_by_the_names_that_gpt_oss_has(tmp_path: Path) -> None:
    """Which are of no module."""
    checkpoint, want = quantised(tmp_path, e2m1, {"quant_method": "mxfp4"})
    file = checkpoint / "model.safetensors"
    save_file({n.replace(".weight_", "_"): one for n, one in load_file(file).items()}, file)

    found = open_checkpoint(checkpoint).tensor(f"{DOWN}.weight")

    assert np.array_equal(found, want.astype(np.float32))


def test_every_scale_of_8_bits_is_half_of_itself_twice() -> None:
    """Those that are no normal number of bf16, and the one that is none at all, included."""
    want = POWERS / np.float32(2)

    found = from_bf16(HALVES)

    assert np.array_equal(found, want, equal_nan=True) and np.isnan(want[255])
    assert POWERS[127] == 1 and POWERS[0] > 0
