"""Other tiles for the two kernels that were farthest from their floors: those of the tables, and
those that the kit has for this alone."""

from collections.abc import Iterator
from typing import Any

from floor import Floor
from machine import Machine
from part import Part

from parts import attention_times, product_times
from parts.attention import EVERYWHERE, NOWHERE, as_a_step, tiles
from parts.product_times import Timed, cold, launches, tile_of, work
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import Variant

SWEPT, NEEDS_S = 2, 1.0


def run(part: Part, machine: Machine) -> None:
    floor = Floor.of(part.so_far)
    for name in slowest(part.so_far["figures"]):
        kind, *rest = name.split()
        if kind == "attention":
            attention(part, machine, floor, " ".join(rest))
        else:
            product(part, machine, floor, name)


def slowest(figures: dict[str, dict[str, Any]]) -> list[str]:
    """The figures farthest from the floor, of different kernels: dense products and attention that
    no cache helps."""
    shares = {
        name: one["of_floor"]
        for name, one in figures.items()
        if (name.split()[0] == "attention" or name.split()[2:3] == ["bf16"])
        and "of_floor" in one
        and not one.get("cached")
    }
    found = dict[str, str]()
    for name in sorted(shares, key=lambda name: shares[name]):
        found.setdefault(" ".join(name.split()[:2]), name)
    return list(found.values())[:SWEPT]


def product(part: Part, machine: Machine, floor: Floor, name: str) -> None:
    """All tiles that can compute it."""
    kind, matrix, _, tokens = name.split()
    form = Dense("bf16")
    timed = next(
        one for one in product_times.matrices(machine.kit.timed, machine.chip) if one.name == matrix
    )
    weights = cold(machine, form, timed)
    for variant in candidates(machine, timed, kind):

        def figure(variant: Variant = variant) -> dict[str, Any]:
            took = machine.time(launches(machine, weights, variant, timed, form, int(tokens)))
            return floor.told(took, *work(timed, form, variant, int(tokens)))

        part.figure(f"sweep {name}: {tile_of(variant)}", figure, NEEDS_S)
    machine.forget()


def candidates(machine: Machine, timed: Timed, kind: str) -> Iterator[Variant]:
    """Tiles of the tables, and the kit's own; one that walks only where there are segments."""
    for variant in (*machine.kit.made_by(f"{kind}_bf16"), *machine.kit.swept):
        same = variant.kernel == f"matmul:{kind}" and variant.name.startswith(f"{kind}_bf16")
        if same and (timed.matrix.segments > 1 or not variant.constants.get("WALK", False)):
            yield variant


def attention(part: Part, machine: Machine, floor: Floor, load: str) -> None:
    """All tiles, divided in three ways."""
    lengths, before = {**attention_times.LOADS, **attention_times.SMALL_LOADS}[load]
    spec = machine.kit.timed
    shape = AttentionShape(spec.heads, spec.kv_heads, spec.head_dim, "bf16")
    for tile in tiles(machine, shape)[: 1 if machine.small else None]:
        for way, places in (
            ("whole", NOWHERE),
            ("as a step", as_a_step(machine, shape)),
            ("apart", EVERYWHERE),
        ):

            def figure(tile: Variant = tile, places: tuple[int, int] = places) -> dict[str, Any]:
                return attention_times.timed(machine, floor, shape, tile, places, lengths, before)

            part.figure(f"sweep attention {load}: q{tile.most} {way}", figure, NEEDS_S)
            machine.forget()
