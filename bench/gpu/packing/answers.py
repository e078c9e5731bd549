"""What the CPU engine answers, greedily: the demo model's tokens are compared with these."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pieces import Piece, run

from raylax.kernels.cpu.model import load_model
from raylax.kernels.options import ModelOptions

PROMPTS = (
    "What is the capital of France?",
    "Count from one to ten.",
    "What is 7 plus 5?",
    "Write a short poem about the sea.",
)
TOKENS, SMALL_TOKENS = 32, 3
PAGES = 64


@dataclass(frozen=True)
class Answer:
    """A prompt, what follows it, and how far the second best token was behind each of these: as a
    share of the largest logit."""

    prompt: list[int]
    tokens: list[int]
    margins: list[float]


def greedy_answers(model: Path, text: Path, small: bool) -> list[Answer]:
    """Of the checkpoint `model`; `text` has the tokenizer. Raises CompileError."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(text / "tokenizer.json"))
    options = ModelOptions("auto", "auto", "cpu", None, 2, 128, 64, 256)
    engine = load_model(model, options, PAGES)
    answers = []
    for prompt in PROMPTS[: 1 if small else None]:
        asked = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer.encode(asked, add_special_tokens=False).ids
        tokens, margins = list[int](), list[float]()
        for _ in range(SMALL_TOKENS if small else TOKENS):
            known = [*ids, *tokens]
            start = len(known) - 1 if tokens else 0
            pages = range(1, 2 + len(known) // 16)
            row = run(engine, Piece(known[start:], start, pages)).logits[0]
            second, first = np.partition(row, -2)[-2:]
            tokens.append(int(row.argmax()))
            margins.append(float((first - second) / np.abs(row).max()))
        answers.append(Answer(ids, tokens, margins))
    return answers
