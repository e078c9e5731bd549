"""What one does with ten minutes on a GPU: is every kernel right, has a row the same bits
everywhere, does the demo model answer as on a CPU; then how fast, beside what is possible.

    python bench/gpu/check.py [--quick] [--json FILE]

Needs numpy, the driver, and a kit (`kit.py`), which a bundle has (`make gpu-bundle`). Each part
runs in a process of its own; what it finds is written at once. The exit status is 0 if all that was
checked held. `--fake --small` tries the check itself, without a GPU.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from device import facts
from fake import adding_as
from fake import environment as fake_environment
from machine import Machine
from packing.kit import Kit, kit_for, kit_in, packed_kit
from packing.source import commit
from part import Part
from process import Told, run_part
from report import Report
from schedule import LIMIT_S, PARTS, QUICK_LIMIT_S, SMALL_LIMIT_S, Planned

from raylax.kernels.cuda.device import verdict
from raylax.kernels.errors import KernelsError

NAMES = [one.name for one in PARTS]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--json", type=Path, default=Path("gpu-check.json"), help="where the results are written"
    )
    parser.add_argument("--quick", action="store_true", help="3 minutes instead of 8")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, metavar="PART", help=", ".join(NAMES)
    )
    parser.add_argument("--kit", type=Path, help="another kit's directory")
    parser.add_argument(
        "--fake", action="store_true", help="on a driver without a GPU, which interprets"
    )
    parser.add_argument("--small", action="store_true", help="small sizes, for --fake")
    parser.add_argument(
        "--limit", type=float, metavar="SECONDS", help="for all of it, if not those"
    )
    for name in ("--part", "--seconds", "--done"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # how a part is begun
    given = parser.parse_args()
    if not given.part and not os.access(given.json.absolute().parent, os.W_OK):
        parser.error(f"--json must be in a directory that can be written, found {given.json}")
    return given


def main() -> int:
    given = parsed()
    if given.part:
        return part_of_it(given)
    with tempfile.TemporaryDirectory(prefix="raylax-gpu-check-") as place:
        return check(given, Path(place))


# the whole


def check(given: argparse.Namespace, place: Path) -> int:
    """All parts, one after the other. `place`: for what is needed on the way."""
    asked = {name: getattr(given, name) for name in ("quick", "small", "fake", "only")}
    report = Report(given.json, asked)
    environment = fake_environment(place, None) if given.fake else dict(os.environ)
    arguments = (
        "--json",
        str(given.json),
        *(f"--{name}" for name in ("small", "fake", "quick") if getattr(given, name)),
    )
    run_part(("--part", "device", *arguments), environment, 60.0, report.add)
    if "device" not in report.told:
        return int(not report.end(whole=False))
    try:
        kit = kit_of(given, report.told["device"]["chip"])
    except (KernelsError, OSError, KeyError) as error:
        report.add({"check": "kit", "ok": False, "said": str(error)})
        return int(not report.end(whole=False))
    report.add({"facts": "kit", "directory": str(kit.directory), "small": kit.small})
    report.add({"facts": "source", **commit(), "kernels": verdict.source()})
    kit = own(kit, place)
    if given.fake:
        environment = fake_environment(place, kit)
    usual = SMALL_LIMIT_S if kit.small else QUICK_LIMIT_S if given.quick else LIMIT_S
    until = time.monotonic() + (given.limit or usual)
    for one in PARTS:
        if one.name in given.only:
            seconds = one.limit(given.quick, kit.small, until - time.monotonic())
            begin(one, seconds, (*arguments, "--kit", str(kit.directory)), environment, report)
    whole = given.only == NAMES
    if whole and not given.fake and not kit.small:
        keep_verdict(report)
    return int(not report.end(whole))


def kit_of(given: argparse.Namespace, chip: int) -> Kit:
    """The one that was asked for, the bundle's, or the store's. Raises KernelsError, OSError."""
    kit = kit_in(given.kit) if given.kit else packed_kit()
    if kit is None:

        def progress(stage: str, fraction: float) -> None:
            print(f"\r{stage}: {fraction:.0%} ", end="", file=sys.stderr, flush=True)

        return kit_for(chip, given.small, progress)
    if kit.small != given.small:
        raise KernelsError("the kit is for --small" if kit.small else "the kit is not for --small")
    if kit.chip != chip:
        raise KernelsError(
            f"the kit has kernels for sm_{kit.chip}, and this GPU is sm_{chip}: "
            f"make gpu-bundle ARGS='--chip sm_{chip}'"
        )
    return kit


def own(kit: Kit, place: Path) -> Kit:
    """A copy that nobody else can write to, wherever a bundle was unpacked: code is loaded from
    no other place."""
    shutil.copytree(kit.directory, place / "kit", copy_function=shutil.copyfile)
    return kit_in(place / "kit")


def begin(
    one: Planned,
    seconds: float,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    report: Report,
) -> None:
    """One part; without time for it none of it is begun."""
    if seconds < 1:
        said = "not begun, there was no time"
        told = {"check": one.name, "ok": False, "said": said}
        report.add(told if one.kind == "decides" else {"left_out": one.name}, one.kind)
        return

    def each(told: Told) -> None:
        report.add(told, one.kind)

    run_part(("--part", one.name, *arguments), environment, seconds, each)


def keep_verdict(report: Report) -> None:
    """For `--device auto`: of this chip, driver and source. One that did not hold is kept, too: an
    earlier one that did must not outlive it."""
    device, checks = report.told["device"], report.told["checks"]
    decisive = {name: one for name, one in checks.items() if one["kind"] == "decides"}
    path = verdict.write(f"sm_{device['chip']}", device["driver"], decisive)
    print(f"the verdict for --device auto is in {path}")


# a part


def part_of_it(given: argparse.Namespace) -> int:
    """In its process: what it says is its standard output, what others print is not."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    until = time.monotonic() + float(given.seconds)
    so_far = json.loads(given.json.read_text())
    part = Part(until, json.loads(given.done), so_far, out)
    try:
        if given.part == "device":
            part.tell("device", facts())
        else:
            run_it(given, part, kit_in(given.kit))
    except KernelsError as error:
        part.fail(given.part, error)
    return 0


def run_it(given: argparse.Namespace, part: Part, kit: Kit) -> None:
    """A part of `parts/`. Raises KernelsError where there is nothing to run it with."""
    kind = next(one.kind for one in PARTS if one.name == given.part)
    with adding_as(kit.chip) if given.fake and kind == "decides" else nullcontext():
        importlib.import_module(f"parts.{given.part}").run(part, Machine(kit, given.quick))


if __name__ == "__main__":
    sys.exit(main())
