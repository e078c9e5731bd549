"""The demo model's draft head on the device: what it comes to on the CPU, and law 1."""

from functools import cached_property

import numpy as np
from machine import Machine
from packing.drafts import LENGTHS, PAGES, SMALL_LENGTHS, come_to, given, named, width_of
from part import Part, hold
from pieces import Piece, batch_of

from parts.demo import options
from raylax.kernels.cuda.build import load_read
from raylax.kernels.cuda.heads.model import HeadOnDevice
from raylax.kernels.heads.base import DraftHead
from raylax.kernels.heads.eagle import FusedHead

NEAR = 0.052
"""Of the largest: how far what is rounded to bf16 at other places may be from another."""


def run(part: Part, machine: Machine) -> None:
    heads = Heads(machine)
    part.check("drafts", heads.drafts)
    part.check("drafts law 1", heads.law_1)


class Heads:
    """The kit's head, on the device."""

    def __init__(self, machine: Machine) -> None:
        self.kit = machine.kit
        self.lengths = SMALL_LENGTHS if machine.small else LENGTHS

    @cached_property
    def width(self) -> int:
        return width_of(self.head, self.kit.demo.hidden)

    @cached_property
    def head(self) -> DraftHead:
        on_device = load_read(HeadOnDevice, self.kit.head, options(self.kit.cubins), PAGES)
        return FusedHead(self.kit.head, on_device, None)

    def drafts(self) -> str:
        """As near to the CPU's as bf16 comes: features, logits, and the feature that goes on."""
        worst = 0.0
        for length in self.lengths:
            for name, found in come_to(self.head, length, self.width).items():
                wanted = self.kit.drafts[f"{length}.{name}"]
                there = np.isfinite(wanted)
                hold(np.array_equal(there, np.isfinite(found)), f"other {name} are finite")
                off = np.abs(found[there] - wanted[there]).max() / np.abs(wanted[there]).max()
                hold(off < NEAR, f"{name} of {length} tokens are {off:.3f} of the largest off")
                worst = max(worst, float(off))
        return f"{len(self.lengths)} prompts, at most {worst:.1g} of the largest off"

    def law_1(self) -> str:
        """A prompt's row whole, and in two parts beside others: the same bits."""
        tokens, tapped = given(max(self.lengths), self.width)
        features, cut = self.head.features(tapped), len(tokens) // 2
        alone = self._step([Piece(tokens, 0, [1, 2])], features)
        self._step([Piece(tokens[:cut], 0, [5, 4])], features[:cut])
        others = [Piece(tokens[:1], 0, [9]), Piece(tokens[cut:], cut, [5, 4])]
        beside = self._step(others, np.concatenate((features[:1], features[cut:])))
        hold(np.array_equal(alone, beside), "in parts, beside others, a row has other bits")
        return "whole, and in parts beside others: equal bits"

    def _step(self, pieces: list[Piece], features: np.ndarray) -> np.ndarray:
        """Logits of the last piece."""
        out = self.head.step(batch_of(pieces), features)
        return named(self.head, out.logits, out.tokens)[-1]
