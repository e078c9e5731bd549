"""What is compiled to draw tokens fits the sources, and rounds each operation by itself."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.kernels.cuda.cubins.toolchain import said_by, tool
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.sampler import variants
from tests.support.paths import ROOT

SOURCE = ROOT / "kernels" / "cuda" / "source" / "sampler.py"
COMPILE = """
import sys
from pathlib import Path
from raylax.kernels.cuda.cubins.compiler import machine_code
from raylax.kernels.cuda.source import sampler
from raylax.kernels.cuda.variants.sampler import variants

one = next(variant for variant in variants() if variant.name == "sample")
asm, data = machine_code(
    sampler.sample, "s", 90, one.types, one.constants, one.aligned, one.warps, one.stages
)
assert not data.global_scratch_size
Path(sys.argv[1]).write_bytes(asm["cubin"])
"""


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.name)
def test_its_arguments_are_the_kernels(variant: Variant) -> None:
    tree = ast.parse(SOURCE.read_text())
    kernel = next(
        node for node in tree.body
        if isinstance(node, ast.FunctionDef) and f"sampler:{node.name}" == variant.kernel
    )  # fmt: skip

    assert [one.arg for one in kernel.args.args] == [*variant.types, *variant.constants]


def test_each_operation_is_rounded_by_itself(tmp_path: Path) -> None:
    """In the machine code for a chip: no multiplication is fused with an addition, no function is
    the chip's own approximation, and nothing small is flushed to 0."""
    cubin = tmp_path / "sample.cubin"
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, str(cubin)],
        env={"PYTHONPATH": str(ROOT / "src"), "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    listing = said_by(tool("nvdisasm"), "-c", str(cubin))
    words = set(re.findall(r"[A-Z][A-Z0-9_]+(?:[.][A-Z0-9_]+)*", listing))

    assert {"FMUL", "FADD", "DMUL"} <= words
    assert [w for w in words if re.match("[DFH]FMA|MUFU[.](EX2|LG2|SQRT|RSQ)", w)] == []
    assert [w for w in words if w.startswith(("FMUL", "FADD")) and "FTZ" in w] == []
