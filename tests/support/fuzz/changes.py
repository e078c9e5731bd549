"""What is done to the files of a checkpoint."""

import io
import mmap
import os
import pickletools
import random
import zipfile
from functools import lru_cache
from pathlib import Path

from raylax.kernels.checkpoints.gguf import header
from raylax.kernels.checkpoints.gguf.blocks import bytes_of
from tests.support.fuzz.evil import TEXTS, changed_bytes, changed_json


def change(directory: Path, rng: random.Random) -> None:
    """Some of the files, each by its kind."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    for path in rng.sample(files, k=min(len(files), rng.choice([1, 1, 1, 2]))):
        if rng.random() < 0.06:
            replace(path, rng)
        else:
            path.write_bytes(changed(path, rng))


def changed(path: Path, rng: random.Random) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".json":
        return changed_json(content, rng)
    if path.suffix == ".safetensors":
        return changed_safetensors(content, rng)
    if path.suffix == ".gguf":
        return changed_bytes(content, rng, marks_of(content))
    if zipfile.is_zipfile(io.BytesIO(content)) and rng.random() < 0.9:
        return changed_zip(content, rng)
    return changed_bytes(content, rng)


def changed_safetensors(content: bytes, rng: random.Random) -> bytes:
    """Its header, as the tree that it is, or its bytes."""
    if rng.random() < 0.15:
        return changed_bytes(content, rng, [(0, 8)])
    end = 8 + int.from_bytes(content[:8], "little")
    text = changed_json(content[8:end], rng)
    return len(text).to_bytes(8, "little") + text + content[end:]


@lru_cache(maxsize=4)
def marks_of(content: bytes) -> list[tuple[int, int]]:
    """What the reader takes of a valid GGUF file: numbers, counts, texts."""
    found = list[tuple[int, int]]()

    class Marking(header.Cursor):
        def take(self, size: int, what: str) -> bytes:
            found.append((self.at, size))
            return super().take(size, what)

    with mmap.mmap(-1, len(content)) as copy:
        copy[:] = content
        header.parsed(Path("seed"), Marking(Path("seed"), copy), len(content), bytes_of)
    return [(at, size) for at, size in found if size in (1, 2, 4, 8)]


def changed_zip(content: bytes, rng: random.Random) -> bytes:
    """An entry's content, its name or how it is kept."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        entries = old.infolist()
        chosen = rng.choice(entries) if rng.random() < 0.4 else entries[0]
        for info in entries:
            data, name, how = old.read(info), info.filename, zipfile.ZIP_STORED
            if info is chosen:
                kind = rng.randrange(6)
                if kind == 0:
                    name = rng.choice(TEXTS)[:200].replace("\ud800", "?").strip("\0") or "x"
                elif kind == 1:
                    data, how = bytes(64 << 20), zipfile.ZIP_DEFLATED  # a bomb
                else:
                    data = changed_bytes(data, rng, opcodes(data))
            new.writestr(name, data, how)
    return changed_bytes(out.getvalue(), rng) if rng.random() < 0.2 else out.getvalue()


@lru_cache(maxsize=4)
def opcodes(data: bytes) -> list[tuple[int, int]] | None:
    """Of a pickle; what is none has no marks."""
    try:
        at = [place for _, _, place in pickletools.genops(data) if place is not None]
    except Exception:
        return None
    return [(one, 1) for one in at] + [(one + 1, 1) for one in at]


def replace(path: Path, rng: random.Random) -> None:
    """Something else in a file's place."""
    content = path.read_bytes()
    path.unlink()
    kind = rng.randrange(8)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(path.name)
    elif kind == 2:
        path.symlink_to("/dev/zero")
    elif kind == 3:
        path.mkdir()
    elif kind == 4:
        path.touch()
    elif kind == 5:
        path.write_bytes(content)
        os.truncate(path, 1 << 40)
    elif kind == 6:
        path.symlink_to("nowhere")
