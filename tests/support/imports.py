"""Who imports whom: the files of a tree, their rooms, and the arrows between them.

A part is a folder at the root. Its rooms are its sub-folders, each with all that is below it, and
the files that lie beside them. An import counts wherever it stands: inside a function, behind
`TYPE_CHECKING`, or as `import raylax`, which stands for the modules that define its names.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

Graph = Mapping[str, set[str]]
"""Names, and for each the names that its arrows point to."""
PACKAGE = "raylax"
STOREY = r"\w+(?:, \w+)*"


def module_of(file: Path, root: Path) -> str:
    """`raylax.worker.kv.page_pool` for `worker/kv/page_pool.py`, the folder's for `__init__.py`."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join([PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def imported_by(source: str, known: Iterable[str], shown: Mapping[str, str]) -> set[str]:
    """The modules that a file names, of those that are known; `shown`: which module defines what
    `raylax` itself shows. A package counts where nothing inside of it is named."""
    known, found = set(known), set[str]()
    for node in ast.walk(ast.parse(source)):
        for name in _names(node):
            if name == PACKAGE:
                found.update(shown.values())
            elif name.rpartition(".")[0] == PACKAGE and name.split(".")[1] in shown:
                found.add(shown[name.split(".")[1]])
            else:
                found.update(_longest(name, known))
    return found


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _longest(name: str, known: set[str]) -> Iterator[str]:
    """`raylax.a.b.Name` is an import of `raylax.a.b`, if that is a module."""
    while name:
        if name in known:
            yield name
            return
        name = name.rpartition(".")[0]


def graph_of(root: Path, parts: Iterable[str], shown: Mapping[str, str]) -> dict[str, set[str]]:
    """Every module below these folders of `root`, and the modules there that it imports."""
    files = [file for part in parts for file in (root / part).rglob("*.py")]
    modules = {module_of(file, root): file.read_text() for file in files}
    return {name: imported_by(source, modules, shown) - {name} for name, source in modules.items()}


def names_shown(source: str) -> dict[str, str]:
    """What `raylax/__init__.py` shows lazily: names, and the modules that define them."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_DEFINED_IN":
            return dict(ast.literal_eval(node.value))
    raise LookupError("raylax/__init__.py has no table _DEFINED_IN")


def part_of(module: str) -> str:
    return module.split(".")[1]


def room_of(module: str) -> str:
    """`worker.kv` for all that lies in `worker/kv/`, `worker.config` for `worker/config.py`."""
    return ".".join(module.split(".")[1:3])


def rooms(graph: Graph) -> dict[str, set[str]]:
    """The arrows from room to room, of one part or of several."""
    found: dict[str, set[str]] = {room_of(name): set() for name in graph}
    for name, imported in graph.items():
        found[room_of(name)] |= {room_of(other) for other in imported} - {room_of(name)}
    return found


def insides(graph: Graph) -> dict[str, dict[str, set[str]]]:
    """Every folder, and the arrows between what lies in it: files, and sub-folders as a whole."""
    found: dict[str, dict[str, set[str]]] = {}
    for name, imported in graph.items():
        parts = name.split(".")
        for depth in range(1, len(parts)):
            folder, child = ".".join(parts[:depth]), ".".join(parts[: depth + 1])
            others = {other for other in imported if other.startswith(folder + ".")}
            children = {".".join(other.split(".")[: depth + 1]) for other in others}
            found.setdefault(folder, {}).setdefault(child, set()).update(children - {child})
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Those who can reach each other, each circle once (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        path.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in path:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            circle = path[path.index(name) :]
            del path[path.index(name) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def storeys(graph: Graph) -> int:
    """How many names the longest way down passes. The graph has no circles."""
    height: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((of(other) for other in graph.get(name, ())), default=0)
        return height[name]

    return max(map(of, graph), default=0)


class Order(NamedTuple):
    """The rooms of a part from top to bottom; those of one storey do not import each other."""

    part: str
    storeys: list[list[str]]

    def storey_of(self, room: str) -> int:
        """Counted from the top. LookupError for a room that stands on none."""
        for at, names in enumerate(self.storeys):
            if room in names:
                return at
        raise LookupError(f"{self.part}/{room} has no storey")

    def broken_by(self, graph: Graph) -> list[str]:
        """The arrows of this part that do not run down."""
        return [
            f"{room} -> {other}"
            for room, imported in sorted(rooms(graph).items())
            for other in sorted(imported)
            if room.split(".")[0] == other.split(".")[0] == self.part
            and self.storey_of(room.split(".")[1]) >= self.storey_of(other.split(".")[1])
        ]


def orders_in(document: str) -> dict[str, Order]:
    """From the lines `part: room, room > room > room` of a document."""
    found = {}
    for part, line in re.findall(
        r"^ *(\w+): +(\w+(?:, \w+)*(?: > \w+(?:, \w+)*)+)$", document, re.M
    ):
        found[part] = Order(part, [storey.split(", ") for storey in line.split(" > ")])
    return found
