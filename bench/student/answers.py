"""What the teacher says, by an engine: its greedy answers, those it draws, and texts it goes on with."""

import argparse
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from speculation import ANSWER, PROMPT, Engine
from student.prompts import pieces, questions
from tokenizers import Tokenizer

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Sampling

AT_ONCE, PER_ROUND = 48, 96


class Said(NamedTuple):
    """A prompt and its answer, in tokens."""

    prompt: list[int]
    answer: list[int]


def prompts(checkpoint: Path, rng: random.Random) -> Iterator[tuple[list[list[int]], float]]:
    """Rounds of prompts and the temperature that they are answered at: of five, two are questions
    answered greedily, two at temperature 1, one is text to go on with at temperature 1."""
    text = open_checkpoint(checkpoint).text
    frontend = Frontend.load(TextFiles(text), str(checkpoint), max_sequence_length=PROMPT + ANSWER)
    tokenizer = Tokenizer.from_file(str(text / "tokenizer.json"))
    asked, begun = questions(rng), pieces(rng)

    def of_chat(question: str) -> list[int]:
        body = {"messages": [{"role": "user", "content": question}]}
        return list(frontend.tokens_of(ChatCompletionRequest.model_validate(body)))

    while True:
        for temperature in (0.0, 1.0, 0.0, 1.0):
            yield [of_chat(one) for one in islice(asked, PER_ROUND)], temperature
        texts = islice(begun, PER_ROUND)
        yield [tokenizer.encode(one).ids[:PROMPT] for one in texts], 1.0


def answered(checkpoint: Path, seconds: float, threads: int, seed: int = 0) -> Iterator[Said]:
    """As many as come in this time, and at least one round of each kind."""
    settings = argparse.Namespace(
        quantization="auto", draft_quantization="auto", threads=threads, draft=None, length=0,
        width=1, concurrency=[AT_ONCE],
    )  # fmt: skip
    engine, rng = Engine(checkpoint, "disable", settings), random.Random(seed)
    until = time.monotonic() + seconds
    try:
        for number, (asked, temperature) in enumerate(prompts(checkpoint, rng)):
            if number >= 5 and time.monotonic() > until:
                return
            sampling = Sampling(temperature=temperature, seed=number)
            *_, answers = engine.run(asked, sampling)
            yield from map(Said, asked, answers)
    finally:
        engine.close()
