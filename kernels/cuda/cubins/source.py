"""The source text that machine code is made from: what a kernel's module says, and what it reaches.

Known without importing it, and so without Triton. Comments and docstrings do not count: the machine
code has no lines in it.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from raylax.kernels.cuda.variants.base import SOURCE


def module_of(kernel: str) -> str:
    """The module of `matmul:linear`: below our sources, unless it has a dot."""
    module = kernel.partition(":")[0]
    return module if "." in module else f"{SOURCE}.{module}"


@cache
def digest_of(module: str) -> str:
    """Of the code of a module and of all those that it reaches, in the same package as it. Raises
    ModuleNotFoundError."""
    digest = hashlib.sha256()
    for name, path in sorted(reached(module).items()):
        digest.update(f"{name}\n{code_of(path)}\n".encode())
    return digest.hexdigest()


def reached(module: str) -> dict[str, Path]:
    """The module, and those of its package (the first part of its name) that it imports, and so on;
    with their files."""
    if (path := file_of(module)) is None:
        raise ModuleNotFoundError(f"no module named {module!r}", name=module)
    found, new = {module: path}, [module]
    while new:
        for other in imports(found[new.pop()], module.partition(".")[0]):
            if other not in found and (path := file_of(other)):
                found[other] = path
                new.append(other)
    return found


def imports(path: Path, package: str) -> Iterator[str]:
    """Names that a file imports from a package, be they modules or what lies in one."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.partition(".")[0] == package)


def file_of(module: str) -> Path | None:
    """Where a module's text is; None for a folder without any, and for what lies in a module."""
    package, *parts = module.split(".")
    found = importlib.util.find_spec(package)
    for place in (found.submodule_search_locations or ()) if found else ():
        path = Path(place, *parts)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def code_of(path: Path) -> str:
    """What a file says, without comments and docstrings."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not is_remark(one)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def is_remark(statement: ast.stmt) -> bool:
    """A string that stands alone."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
