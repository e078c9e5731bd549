"""Kernels become machine code for chips that are not here, or are refused by name."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from raylax.kernels.cuda.cubins import build, toolchain, worker, workers
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import CHIPS, Chip
from raylax.kernels.cuda.cubins.facts import Facts, chip_of, file_of, load, made_of
from raylax.kernels.cuda.cubins.toolchain import environment, versions
from raylax.kernels.cuda.cubins.workers import compile_all
from raylax.kernels.cuda.variants.base import Variant, signature
from raylax.kernels.errors import CompileError
from raylax.kernels.options import silent
from raylax.kernels.store import Store
from tests.kernels.cuda.cubins.test_rules import GOOD, but
from tests.support.cuda_scaled import SCALED
from tests.support.kept import kept
from tests.support.paths import ROOT

MISTAKES = "tests.support.cuda_mistakes"
SOURCES = [
    path.read_text()
    for path in (
        Path(__file__),
        ROOT / "tests/support/cuda_mistakes.py",
        ROOT / "tests/support/cuda_scaled.py",
    )
]
"""Of the kernels that are refused."""


def variant(name: str, block: int, types: str = "x:f y:f", warps: int = 4) -> Variant:
    return Variant(name, f"{MISTAKES}:{name}", signature(types), {"BLOCK": block}, warps)


ENDLESS = replace(SCALED, name="endless", kernel="tests.support.cuda_endless:kernel")
CRASH = replace(SCALED, name="crash", kernel="tests.support.cuda_crash:kernel")


@pytest.mark.parametrize("number", [80, 90])
def test_a_kernel_is_made_for_a_chip_that_is_not_here(store: Path, number: int) -> None:
    chip = CHIPS[number]

    directory = cubins_for([SCALED], chip, Store(store), silent)
    cubin = load(directory, [SCALED], chip)["scaled"]

    facts = cubin.facts
    assert chip_of(cubin.code) == number
    assert facts.symbol == "raylax_scaled"
    assert facts.types == ("*bf16", "*fp32", "fp32", "i32", "*i8", "*i8")
    assert facts.names == ("x", "y", "factor", "n")
    assert (facts.threads, facts.shared, facts.scratch) == (64, 0, 0)
    assert b"raylax_scaled" in cubin.code
    assert str(ROOT).encode() not in cubin.code, "its bytes depend on where the source lies"


def test_who_may_be_started_early_waits_before_it_reads(store: Path) -> None:
    """The other one does not; each is in the store by itself, and a launch of neither is taken for
    one of the other."""
    chip, early = CHIPS[90], replace(SCALED, overlapped=True)

    directory = cubins_for([early], chip, Store(store), silent)

    assert load(directory, [early], chip)["scaled"].facts.reading.waits
    plain = cubins_for([SCALED], chip, Store(store), silent)
    assert not load(plain, [SCALED], chip)["scaled"].facts.reading.waits
    with pytest.raises(CompileError, match="compiled from another version of its source, or with"):
        load(plain, [early], chip)


def test_what_spills_is_compiled_again_with_all_registers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the assembler saves for more programs at once. What spills even so is refused."""
    given = list[int | None]()

    def assembled(variant: Variant, chip: Chip, directory: Path, registers: int | None) -> Facts:
        given.append(registers)
        return but(spills=30, stack=24) if registers is None else but(registers=152)

    monkeypatch.setattr(worker, "assembled", assembled)

    assert worker.compiled(SCALED, CHIPS[90], tmp_path).reading.registers == 152
    assert given == [None, 255]


REFUSED = [
    (80, variant("crowded", 8192, warps=1), "nothing may be spilled from registers"),
    (90, variant("described", 64), "scratch memory must be 0 bytes, found 128"),
    (90, variant("product", 32), "must be HGMMA instructions, found none of the matrix unit's"),
    (90, variant("product_and_sum", 64, "x:b y:f"), "no floats may be summed across threads"),
    (90, variant("heaped", 256), "floats must not be summed in memory"),
    (89, variant("voluminous", 256, "x:b y:b", 8), "shared memory must be at most 101376 bytes"),
    (90, replace(SCALED, name="missing", kernel=f"{MISTAKES}:missing"), "no attribute 'missing'"),
    (90, replace(SCALED, name="fewer", constants={}), "takes x, y, factor, n, BLOCK; given"),
    (90, replace(SCALED, name="order", types=signature("y:f x:k factor:s n:i")), "in the order x"),
    (90, replace(SCALED, name="uneven", constants={"BLOCK": 100}), "must be a power of 2"),
]


@pytest.fixture(scope="module")
def refusals(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is said of each variant, all of them compiled at once by chip. It is kept: they are ten
    kernels, and each takes the compiler a second and more."""
    chips = sorted({number for number, _, _ in REFUSED})

    def make(directory: Path) -> None:
        said: dict[str, list[str]] = {variant.name: [] for _, variant, _ in REFUSED}
        for number in chips:
            of_chip, place = [v for n, v, _ in REFUSED if n == number], tmp_path_factory.mktemp("c")
            for line in compile_all(of_chip, CHIPS[number], place, never):
                said[line.partition(" ")[0]].append(line)
        (directory / "said.json").write_text(json.dumps(said))

    facts = {"refused": SOURCES, "by": [versions(CHIPS[number]) for number in chips]}
    said: dict[str, list[str]] = json.loads((kept(store, facts, make) / "said.json").read_text())
    return said


def never(variant: Variant, facts: Facts) -> None:
    raise AssertionError(f"{variant.name} may be used: {facts}")


@pytest.mark.parametrize(("number", "refused", "why"), REFUSED)
def test_what_breaks_a_rule_is_refused_in_a_line(
    refusals: dict[str, list[str]], number: int, refused: Variant, why: str
) -> None:
    said = refusals[refused.name]

    assert [line for line in said if line.startswith(f"{refused.name} for sm_{number}: ")] == said
    assert any(why in line for line in said), said
    assert not any("\n" in line for line in said)


def test_variants_that_differ_in_their_sums_are_refused_together(tmp_path: Path) -> None:
    """And leave nothing that could be loaded; each by itself stays in the store."""
    one, two = variant("summed", 256), replace(variant("summed", 256, warps=8), name="again")

    with pytest.raises(CompileError, match="again and summed for sm_90: variants of .* one layout"):
        cubins_for([two, one], CHIPS[90], Store(tmp_path), silent)
    assert not list((tmp_path / build.ALL).glob("*/"))
    assert len(list((tmp_path / build.ONE).glob("*/"))) == 2


def test_two_variants_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="different names; twice there: scaled"):
        cubins_for([SCALED, replace(SCALED, warps=4)], CHIPS[90], Store(tmp_path), silent)


def test_a_model_takes_what_another_has_compiled(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is new is compiled, and progress is told in parts of all."""
    chip, told, asked = CHIPS[90], list[tuple[str, float]](), list[str]()
    own = Store(tmp_path)
    cubins_for([SCALED], chip, Store(store), silent)
    shutil.copytree(store / build.ONE, tmp_path / build.ONE)

    def noted(variants: list[Variant], *rest: object) -> list[str]:
        asked.extend(variant.name for variant in variants)
        return workers.compile_all(variants, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "compile_all", noted)
    more = [SCALED, variant("summed", 256)]
    directory = cubins_for(more, chip, own, lambda *said: told.append(said))

    assert asked == ["summed"]
    assert told == [("compile for sm_90", 0.5), ("compile for sm_90", 1.0)]
    assert list(load(directory, more, chip)) == ["scaled", "summed"]


def changed_source(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("raylax.kernels.cuda.cubins.facts.digest_of", lambda module: "changed")


def changed_version(**version: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(build, "versions", lambda chip: {**VERSIONS, **version})


def changed_judge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(build, "code_of", lambda path: f"changed {path.name}")


VERSIONS = {"triton": "3.9.0", "ptxas": "13.4.59"}
FOLLOWS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "source": changed_source,
    "triton": changed_version(triton="3.9.1"),
    "ptxas": changed_version(ptxas="13.0.88"),
    "judges": changed_judge,
}


@pytest.mark.parametrize("what", [*FOLLOWS, "constants", "chip"])
def test_all_that_machine_code_follows_from_is_its_name_in_the_store(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has changed is compiled again; what has not, is not."""
    chip, store, compiled = CHIPS[90], Store(tmp_path), list[str]()

    def compile_all(
        variants: list[Variant], chip: Chip, directory: Path, each: Callable[[Variant, Facts], None]
    ) -> list[str]:
        for one in variants:
            compiled.append(one.name)
            file_of(directory, one.name).write_bytes(b"code")
            each(one, replace(GOOD, made_of=made_of(one, chip)))
        return []

    monkeypatch.setattr(build, "compile_all", compile_all)
    changed_version()(monkeypatch)
    first = cubins_for([SCALED], chip, store, silent)
    assert cubins_for([SCALED], chip, store, silent) == first
    assert compiled == ["scaled"]

    variant = replace(SCALED, constants={"BLOCK": 512}) if what == "constants" else SCALED
    if what in FOLLOWS:
        FOLLOWS[what](monkeypatch)
    again = cubins_for([variant], CHIPS[100] if what == "chip" else chip, store, silent)

    assert again != first
    assert compiled == ["scaled", "scaled"]


def test_what_was_installed_with_raylax_is_not_compiled(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And needs no Triton; another version of it is not taken."""
    chip = CHIPS[90]
    (tmp_path / "shipped").mkdir()
    made = cubins_for([SCALED], chip, Store(store), silent)
    (tmp_path / "shipped" / chip.name).symlink_to(made)
    monkeypatch.setattr(build, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(toolchain, "triton", missing_triton)

    directory = cubins_for([SCALED], chip, Store(tmp_path / "store"), silent)

    assert list(load(directory, [SCALED], chip)) == ["scaled"]
    with pytest.raises(CompileError, match="pip install 'raylax\\[cuda-compile\\]'"):
        cubins_for([replace(SCALED, warps=4)], chip, Store(tmp_path / "store"), silent)


def missing_triton() -> Path:
    raise CompileError("compiling for GPUs needs Triton: pip install 'raylax[cuda-compile]'")


def test_a_compiler_that_dies_is_named_and_replaced(tmp_path: Path) -> None:
    done = list[str]()

    said = compile_all(
        [CRASH, SCALED], CHIPS[90], tmp_path, lambda v, _: done.append(v.name), processes=1
    )

    assert said == ["crash for sm_90: the compiler ended (-9)"]
    assert done == ["scaled"]


def test_an_interrupt_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLAX_TEST_PID", str(pid := tmp_path / "pid"))

    def interrupted(*_: object) -> None:
        waits_for(pid.exists)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_all([ENDLESS, SCALED], CHIPS[90], tmp_path, interrupted, processes=2)

    assert not alive(int(pid.read_text()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pid", "scaled.cubin"]


def test_processes_end_with_one_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.kernels.cuda.cubins.test_build import ENDLESS, CHIPS, compile_all\n"
        "compile_all([ENDLESS], CHIPS[90], Path(sys.argv[1]), print)"
    )
    pid = tmp_path / "pid"
    variables = {**os.environ, "RAYLAX_TEST_PID": str(pid), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-P", "-c", code, tmp_path], env=variables) as caller:
        try:
            waits_for(lambda: pid.exists() and pid.read_text() != "")
        finally:
            caller.kill()

    waits_for(lambda: not alive(int(pid.read_text())))


def waits_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there and does something."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_nothing_set_for_triton_reaches_a_compilation(tmp_path: Path) -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/home/us",
        "TRITON_INTERPRET": "1",
        "TRITON_OVERRIDE_ARCH": "sm80",
        "TRITON_CACHE_DIR": "/home/us/.triton",
        "TRITON_PTXAS_BLACKWELL_PATH": "/opt/ptxas",
        "LLVM_IR_ENABLE_DUMP": "1",
        "DISABLE_PTXAS_OPT": "1",
        "PTXAS_OPTIONS": "-O0",
    }

    made = environment(tmp_path, ours)

    assert {name for name in made if name in ours} == {
        "PATH", "HOME", "TRITON_CACHE_DIR", "TRITON_PTXAS_BLACKWELL_PATH"
    }  # fmt: skip
    assert made["TRITON_CACHE_DIR"] == made["TRITON_HOME"] == made["TMPDIR"] == str(tmp_path)


def test_another_assembler_is_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user sets because a driver is older than Triton's."""
    (other := tmp_path / "ptxas").write_text("#!/bin/sh\necho 'release 13.0, V13.0.88'\n")
    other.chmod(0o755)
    theirs = versions(CHIPS[90])
    monkeypatch.setenv("TRITON_PTXAS_BLACKWELL_PATH", str(other))

    assert versions(CHIPS[90]) == {**theirs, "ptxas": "13.0.88"}
    assert versions(CHIPS[80]) != versions(CHIPS[90])
    monkeypatch.setenv("TRITON_PTXAS_BLACKWELL_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(CompileError, match="nowhere, which is not there"):
        versions(CHIPS[90])


def test_compiling_imports_no_triton_here() -> None:
    """It would decide here, once, whether kernels are interpreted."""
    code = "import sys, raylax.kernels.cuda.cubins.build; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
