"""An attack is a function: its docstring is the promise that must hold, what it returns the figure
that was found. It raises Broken where the promise does not hold."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from attacks.house import House

Attack = Callable[[House], str]


class Broken(Exception):
    """The promise did not hold; how it was seen."""


@dataclass(frozen=True)
class Finding:
    attack: Attack
    found: str
    held: bool

    @property
    def name(self) -> str:
        return self.attack.__name__.replace("_", " ")

    @property
    def promise(self) -> str:
        return " ".join((self.attack.__doc__ or "").split())


def tried(attack: Attack, house: House) -> Finding:
    """What became of one attack; afterwards the house must still answer."""
    try:
        found, held = attack(house), True
    except Broken as error:
        found, held = str(error), False
    except Exception as error:  # an attack that stumbles has shown nothing
        traceback.print_exc()
        why = str(error).partition("\n")[0]
        found, held = f"the attack failed: {type(error).__name__}: {why}", False
    if not house.answers(20):
        found, held = f"{found}; no answer to a usual request afterwards", False
    return Finding(attack, found, held)


def table_of(findings: Sequence[Finding]) -> Table:
    table = Table("attack", "promise", "", "found", box=SIMPLE_HEAD)
    for one in findings:
        table.add_row(one.name, one.promise, "held" if one.held else "[red]BROKEN[/]", one.found)
    return table
