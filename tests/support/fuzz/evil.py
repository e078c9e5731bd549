"""Values and bytes that nobody means."""

import json
import random
import struct
from copy import deepcopy
from typing import Any

Marks = list[tuple[int, int]]
"""(byte, size) of what means something."""
NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, 7, 31, 33, 255, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, 1 << 40, 1 << 48, 1 << 53, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
    1 << 64, 10**40,
    -(1 << 31), -(1 << 63), 0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
TEXTS = [
    "", "\0", ".", "..", "/", "../x", "../../etc/passwd", "/etc/passwd", "a\nb", "a\r\nb",
    "\x1b[31m", "\u202e", "\ud800", "é" * 300, "x" * 100_000, "model.safetensors/", "config.json",
    "model.layers.0.mlp.up_proj.weight", "BF16", "F8_E4M3", "float16", "gptq", "awq",
]  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def value(rng: random.Random) -> Any:
    """One of a JSON file."""
    kind = rng.randrange(8)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(TEXTS)
    return rng.choice([None, True, False, [], {}, nested(20), nested(900), [0] * 5000, {"": {}}])


def places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of all that is in a tree."""
    found, left = list[tuple[Any, Any]](), [tree]
    while left:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], dict | list):
                left.append(one[key])
    return found


def change_tree(tree: Any, rng: random.Random) -> None:
    """One place of it, perhaps with others."""
    spots = places(tree)
    if not spots:
        return
    holder, key = rng.choice(spots)
    kind = rng.randrange(6)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif kind == 2:
        other, name = rng.choice(spots)
        holder[key] = deepcopy(other[name]) if name in other else value(rng)
    elif kind == 3 and isinstance(holder[key], int):
        holder[key] += rng.choice([-1, 1, 8, -8, 1 << 32])
    else:
        holder[key] = value(rng)


def changed_json(content: bytes, rng: random.Random) -> bytes:
    """The text of a tree that was changed, or a text that was."""
    try:
        tree = json.loads(content)
    except ValueError:
        return changed_bytes(content, rng)
    if rng.random() < 0.15 or not isinstance(tree, dict | list):
        return changed_bytes(content, rng)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        change_tree(tree, rng)
    try:
        return json.dumps(tree).encode() if rng.random() < 0.98 else b"[" * 100_000
    except RecursionError:  # one nest in another
        return b'{"a":' * 100_000


def integer(rng: random.Random, size: int) -> bytes:
    """Of so many bytes."""
    forms = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
    if size in forms and rng.random() < 0.8:
        whole = [int(one) for one in NUMBERS if isinstance(one, int)]
        return struct.pack(forms[size], rng.choice(whole) & (1 << 8 * size) - 1)
    return rng.randbytes(size)


def changed_bytes(content: bytes, rng: random.Random, marks: Marks | None = None) -> bytes:
    """Here and there, or in places that are marked."""
    out = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        kind = rng.randrange(8)
        if not out or kind == 0:
            return bytes(out[: rng.randrange(len(out) + 1)])
        if kind < 5 and marks:
            at, size = rng.choice(marks)
            out[at : at + size] = integer(rng, size)
            continue
        at, size = rng.randrange(len(out)), rng.choice([1, 2, 4, 8, 64])
        if kind == 5:
            del out[at : at + size]
        elif kind == 6:
            out[at:at] = rng.randbytes(size)
        else:
            out[at : at + size] = integer(rng, min(size, len(out) - at))
    return bytes(out)
