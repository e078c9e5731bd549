"""Tiny models of families that differ from Llama, on the device: transformers' logits, and law 1."""

from pathlib import Path

import numpy as np
from machine import Machine
from part import Part, hold
from pieces import Piece, batch_of

from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.options import ModelOptions

PAGES = 32


def run(part: Part, machine: Machine) -> None:
    for path in machine.kit.families:
        part.check(f"family {path.name}", lambda path=path: Family(path, machine).answers())


class Family:
    """One of them, on the device."""

    def __init__(self, path: Path, machine: Machine) -> None:
        self.model: DeviceModel = load_on_device(path, options(machine.kit.cubins), PAGES)
        with np.load(path / "expected.npz") as file:
            self.ids, self.expected = file["ids"].tolist(), file["logits"]
            self.bound = float(file["bound"])
            """Of the logits' scale, at the median: what f16 rounds."""

    def answers(self) -> str:
        """As transformers', and with the same bits however the prompt is cut."""
        whole, count = batch_of([Piece(self.ids, 0, [3, 1, 2])]), len(self.expected)
        rows = np.arange(len(self.ids) - count, len(self.ids), dtype=np.int32)
        found = np.array(self.model.step(whole._replace(rows=rows)).logits)
        errors = np.abs(found - self.expected).max(-1) / np.abs(self.expected).max()
        off = float(np.median(errors))
        hold(off < self.bound, f"off by {off:.1e}")
        cut, pages = len(self.ids) - 5, [12, 11, 14]
        self.model.step(batch_of([Piece(self.ids[:cut], 0, pages)]))
        pieces = [Piece(self.ids[4:9], 0, [9]), Piece(self.ids[cut:], cut, pages)]
        chunked = np.array(self.model.step(batch_of(pieces)).logits)[1]
        hold(np.array_equal(chunked, found[-1]), "in chunks, beside others, it has other bits")
        return f"off by {off:.1e}, equal bits in chunks"


def options(cubins: Path) -> ModelOptions:
    """Of f16, with this machine code."""
    sizes = ("q0f16", "auto", "cuda:0", None, 1, 128, 64, 256)
    return ModelOptions(*sizes, library=str(cubins))
