"""The demo model end to end on the device: the CPU engine's tokens, law 1, and its pages."""

from functools import cached_property
from pathlib import Path

import numpy as np
from machine import Machine
from part import Part, hold
from pieces import PAGE, Piece, batch_of
from pieces import run as step

from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.model import StepBatch
from raylax.kernels.options import ModelOptions

PAGES = 64
NEAR_TIE = 0.02
"""Of the largest logit: how near the second best token may be for bf16 to tell it from the best."""


OVERLAPPED_STEPS = 20


def run(part: Part, machine: Machine) -> None:
    demo = Demo(machine)
    part.check("demo tokens", demo.tokens)
    part.check("demo law 1", demo.law_1)
    part.check("demo pages", demo.pages)
    part.check("demo ahead", demo.ahead)
    if machine.kit.overlapped:
        part.check("demo overlapped", demo.overlapped)


class Demo:
    """The kit's model, on the device."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.kit = machine, machine.kit

    @cached_property
    def model(self) -> DeviceModel:
        return load_on_device(self.kit.model, options(self.kit.cubins), PAGES)

    def tokens(self) -> str:
        """As the CPU engine's, up to the first token that is nearly another one."""
        compared = 0
        for answer in self.kit.answers:
            known = list(answer["prompt"])
            start = 0
            for number, (token, margin) in enumerate(
                zip(answer["tokens"], answer["margins"], strict=True)
            ):
                if margin < NEAR_TIE:
                    break
                pages = range(1, 2 + len(known) // PAGE)
                out = step(self.model, Piece(known[start:], start, pages))
                drawn = int(out.drawn[0])
                hold(
                    drawn == token,
                    f"token {number} of an answer is {drawn}, the CPU's is {token} (margin {margin:.3f})",
                )
                start = len(known)
                known.append(token)
                compared += 1
        hold(compared >= len(self.kit.answers), f"only {compared} tokens could be compared")
        return f"{compared} tokens of {len(self.kit.answers)} answers equal the CPU engine's"

    def law_1(self) -> str:
        """A prompt's row whole, in chunks, and in a batch with others: the same bits."""
        prompt = self.prompt(18)
        others = [Piece(self.prompt(6), 0, [9]), Piece(self.prompt(1), 0, [10])]
        alone = self.row(Piece(prompt, 0, [3, 1]))
        self.row(Piece(prompt[:11], 0, [12, 13]))
        chunked = self.row(*others, Piece(prompt[11:], 11, [12, 13]))
        together = self.row(*others, Piece(prompt, 0, [5, 7]))
        hold(
            np.array_equal(alone, chunked),
            "in chunks, beside others, a row has other bits than alone",
        )
        hold(np.array_equal(alone, together), "in a batch a row has other bits than alone")
        ways = 3
        if not self.kit.small:
            long = self.prompt(100)
            whole = self.row(Piece(long, 0, range(20, 27)))
            for cut in (1, 16, 50, 99):
                self.row(Piece(long[:cut], 0, range(30, 37)))
                rest = self.row(*others, Piece(long[cut:], cut, range(30, 37)))
                hold(np.array_equal(whole, rest), f"cut at {cut} a row has other bits")
                ways += 1
        return f"{ways} ways, equal bits"

    def pages(self) -> str:
        """A step writes where its tokens belong and nowhere else; pages go on elsewhere."""
        model, prompt = self.model, self.prompt(18)
        watched = range(1, 16)
        for page in watched:  # nothing is there that looks as if it had been written now
            model.write_page(page, bytes(model.page_bytes))
        self.row(Piece(prompt[:17], 0, [3, 1]), Piece(self.prompt(5), 0, [9]))
        before = {page: model.read_page(page) for page in watched}
        last = self.row(Piece(prompt[17:], 17, [3, 1]))
        changed = {page for page in watched if model.read_page(page) != before[page]}
        hold(changed == {1}, f"a token of page 1 changed pages {sorted(changed)}")
        for source, to in ((3, 20), (1, 21)):
            hold(
                len(before[source]) == model.page_bytes,
                "a page has another size than the model says",
            )
            model.write_page(to, before[source])
            hold(model.read_page(to) == before[source], "a page that was written reads otherwise")
        elsewhere = self.row(Piece(prompt[17:], 17, [20, 21]))
        hold(np.array_equal(last, elsewhere), "on moved pages a row has other bits")
        return f"1 of {len(watched)} pages changed; moved pages go on with equal bits"

    def ahead(self) -> str:
        """Steps that are given before the ones ahead of them are done, whose tokens they take on the
        device, come to what they do when the host says the tokens."""
        steps, firsts = (2, [7]) if self.kit.small else (16, self.prompt(5))
        pages = [range(40 + 4 * i, 44 + 4 * i) for i in range(len(firsts))]
        expected, found, tokens = list[list[int]](), list[list[int]](), firsts
        batches = list[StepBatch]()
        for at in range(steps):
            pieces = [Piece([one], at, own) for one, own in zip(tokens, pages, strict=True)]
            batches.append(batch_of(pieces))
            out = self.model.step(batches[-1])
            tokens = out.drawn.tolist()
            expected.append(tokens)
        logits = np.array(out.logits)
        drawn = -1 - np.arange(len(firsts), dtype=np.int32)
        pending = self.model.submit(batches[0])
        for one in batches[1:]:
            later = self.model.submit(one._replace(tokens=drawn))
            found.append(pending.output().drawn.tolist())
            pending = later
        out = pending.output()
        found.append(out.drawn.tolist())
        hold(found == expected, f"a step ahead {found} are drawn, else {expected}")
        hold(np.array_equal(np.array(out.logits), logits), "the last step has other bits")
        return f"{steps} steps of {len(firsts)}, equal tokens and bits"

    def overlapped(self) -> str:
        """Launches that overlap: prompts and decodes with the bits of those that do not."""
        assert self.kit.overlapped
        other = load_on_device(self.kit.model, options(self.kit.overlapped, True), PAGES)
        prompts = [self.prompt(length) for length in (100, 18, 7)]
        pages = [range(1, 9), range(9, 13), range(13, 17)]
        starts = [0, 0, 0]
        for number in range(OVERLAPPED_STEPS):
            pieces = [Piece(*one) for one in zip(prompts, starts, pages, strict=True)]
            plain, found = step(self.model, *pieces), step(other, *pieces)
            same = np.array_equal(np.array(plain.logits), np.array(found.logits))
            hold(same, f"step {number} has other bits where launches overlap")
            starts = [start + len(one) for start, one in zip(starts, prompts, strict=True)]
            prompts = [[int(token)] for token in plain.drawn]
        return f"{OVERLAPPED_STEPS} steps with equal bits"

    def prompt(self, length: int) -> list[int]:
        """The same at every call."""
        return [int(one) for one in np.random.default_rng(length).integers(3, 500, length)]

    def row(self, *pieces: Piece) -> np.ndarray:
        """Logits of the last piece."""
        return np.array(step(self.model, *pieces).logits[len(pieces) - 1])


def options(cubins: Path, overlap: bool = False) -> ModelOptions:
    """Of bf16, with this machine code."""
    return ModelOptions(
        "q0bf16",
        "auto",
        "cuda:0",
        None,
        1,
        128,
        64,
        256,
        library=str(cubins),
        overlap_launches=overlap,
    )
