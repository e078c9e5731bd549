"""What the teacher says, by an engine: its greedy answers, those it draws, and texts it goes on with."""

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from drafts.engine import Engine
from drafts.loads import PROMPT, AskedFor, asking, ends_of, tokenizer_of
from student.prompts import pieces, questions

from raylax.proto.vocabulary import Sampling

AT_ONCE, PER_ROUND = 48, 96


class Said(NamedTuple):
    """A prompt and its answer, in tokens."""

    prompt: list[int]
    answer: list[int]


def rounds(checkpoint: Path, rng: random.Random) -> Iterator[AskedFor]:
    """Of five, two are questions answered greedily, two at temperature 1, one is text to go on with
    at temperature 1."""
    tokenizer, ends = tokenizer_of(checkpoint), ends_of(checkpoint)
    assert tokenizer is not None, "a model that answers questions has words"
    asked, begun = questions(rng), pieces(rng)
    while True:
        for temperature in (0.0, 1.0, 0.0, 1.0):
            prompts = asking(checkpoint, list(islice(asked, PER_ROUND)))
            yield AskedFor("questions", Sampling(temperature=temperature), prompts, ends)
        texts = [tokenizer.encode(one).ids[:PROMPT] for one in islice(begun, PER_ROUND)]
        yield AskedFor("texts", Sampling(temperature=1.0), texts)


def answered(checkpoint: Path, seconds: float, threads: int, seed: int = 0) -> Iterator[Said]:
    """As many as come in this time, and at least one round of each kind."""
    settings = argparse.Namespace(
        quantization="auto", draft_quantization="auto", threads=threads, draft=None, length=0,
        width=1, concurrency=[AT_ONCE],
    )  # fmt: skip
    engine, rng = Engine(checkpoint, "disable", settings), random.Random(seed)
    until = time.monotonic() + seconds
    try:
        for number, asked in enumerate(rounds(checkpoint, rng)):
            if number >= 5 and time.monotonic() > until:
                return
            sampling = replace(asked.sampling, seed=number)
            answers = engine.run(asked.prompts, sampling, asked.ends).said
            yield from map(Said, asked.prompts, answers)
    finally:
        engine.close()
