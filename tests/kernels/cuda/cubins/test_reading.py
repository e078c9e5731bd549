"""What is read in machine code, and in what it was made from."""

from pathlib import Path

import pytest

from raylax.kernels.cuda.cubins.reading import Structure, parsed, structure

LISTING = Path(__file__).parent / "readouts" / "linear_sm_90.sass"
"""Some of what `nvdisasm -c` says of a product with weights for H100."""
USAGE = """
Resource usage:
 Common:
  GLOBAL:0
 Function raylax_linear_m8:
  REG:40 STACK:0 SHARED:1024 LOCAL:0 CONSTANT[0]:592 TEXTURE:0 SURFACE:0 SAMPLER:0
"""
SPILLED = """
        /*00d0*/                   STL.64 [R1+0x400], R4 ;
        /*00e0*/              @!P1 LDL.LU R7, [R1+0x8] ;
        /*00f0*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0100*/              @UP0 UTCHMMA gdesc[UR8], gdesc[UR10], tmem[UR4], tmem[UR6] ;
        /*0110*/                   LDL R9, [R1+0x10] ;
        /*0120*/                   UTCATOMSWS.AND URZ, UR4 ;
        /*0130*/                   HADD2.BF16_V2 R3, R4, R5 ;
"""
HEAD = """#blocked = #ttg.blocked<{sizePerThread = [8], warpsPerCTA = [8], order = [0]}>
#mma = #ttg.nvidia_mma<{versionMajor = 3, warpsPerCTA = [4, 1]}>
"""


def reduced(body: str, of: str, operation: str = "reduce") -> str:
    return f"""    %17 = "tt.{operation}"(%16) <{{axis = 0 : i32}}> ({{
    ^bb0(%a: f32 loc(unknown), %b: f32 loc(unknown)):
      %33 = {body} %a, %b : f32 loc(#loc)
      tt.{operation}.return %33 : f32 loc(#loc)
    }}) : ({of}) -> f32 loc(#loc)
"""


BLOCKED = "tensor<256xf32, #blocked>"
IN_FULL = "tensor<256xf32, #ttg.blocked<{sizePerThread = [8], warpsPerCTA = [8], order = [0]}>>"


def test_registers_and_instructions_are_counted() -> None:
    found = parsed(USAGE, LISTING.read_text())

    assert (found.registers, found.stack, found.spills) == (40, 0, 0)
    assert found.matrix == {"HGMMA.64x8x16.F32.BF16": 2}
    assert found.copies == {"LDGSTS.E.BYPASS.128": 6}
    assert found.loads == {}
    assert found.instructions == LISTING.read_text().count("/*") - LISTING.read_text().count("//*")


def test_spills_are_seen_whatever_they_are_called() -> None:
    used = "  REG:64 STACK:24 SHARED:0 LOCAL:8 CONSTANT[0]:384"

    found = parsed(used, SPILLED)

    assert (found.registers, found.stack, found.spills) == (64, 32, 3)
    assert found.matrix == {"UTCHMMA": 1}
    assert found.loads == {"LDG.E.128": 1}


@pytest.mark.parametrize(
    ("ttgir", "sums"),
    [
        (reduced("arith.addf", BLOCKED), (IN_FULL,)),
        (reduced("arith.addf", BLOCKED, "scan"), (IN_FULL,)),
        (reduced("arith.mulf", BLOCKED), (IN_FULL,)),
        (reduced("arith.maximumf", BLOCKED), ()),
        (reduced("arith.addi", "tensor<256xi32, #blocked>"), ()),
        (
            reduced("arith.maxnumf", BLOCKED)
            + reduced("arith.addf", "tensor<4xf32, #ttg.slice<{dim = 0, parent = #mma}>>"),
            (
                "tensor<4xf32, #ttg.slice<{dim = 0, parent = "
                "#ttg.nvidia_mma<{versionMajor = 3, warpsPerCTA = [4, 1]}>}>>",
            ),
        ),
    ],
)
def test_floats_summed_across_threads_are_found_with_their_layout(
    ttgir: str, sums: tuple[str, ...]
) -> None:
    assert structure("", HEAD + ttgir) == Structure(0, 0, sums, 0)


def test_products_and_sums_in_memory_are_counted() -> None:
    ttir = """
    %1 = tt.dot %a, %b, %c, inputPrecision = tf32 : tensor<64x64xbf16> * tensor<64x8xbf16>
    %2 = tt.dot %a, %b, %c, inputPrecision = tf32 : tensor<64x64xf32> * tensor<64x8xf32>
    %3 = tt.dot %a, %b, %c : tensor<64x64xf32> * tensor<64x8xf32>
    """
    ttgir = "%4 = tt.atomic_rmw fadd, relaxed, gpu, %p, %v : f32"

    assert structure(ttir, ttgir) == Structure(3, 1, (), 1)
