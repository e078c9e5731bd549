"""What engines are asked, and who knows the answers."""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Sampling
from raylax.worker.speculation.proposals import Proposal, Speculation, worth

PROMPT, QUOTED, ANSWER = 384, 12, 128
COPIED = 200
"""Tokens of a text that is to be edited."""


class Oracle(Speculation):
    """Knows the answers, and says a token of them as often as it is to be right."""

    def __init__(self, prompts: list[list[int]], answers: list[list[int]], right: float) -> None:
        super().__init__()
        self.answers = {
            tuple(one[:PROMPT]): said for one, said in zip(prompts, answers, strict=False)
        }
        self.right, self.random = right, random.Random(0)

    def propose(self, one: Proposal, tokens: Sequence[int], most: int, least: float) -> None:
        one.draft.clear()
        if most <= 0 or least >= 1 or one.record.share(1.0) < least:
            one.record.forget()
            return
        one.likely = self.experience.likely(0, one.record)
        answer = self.answers[tuple(tokens[:PROMPT])][len(tokens) - PROMPT :]
        if one.likely > least:
            for token in answer[: min(most, worth(one.likely, least))]:
                is_right = self.random.random() < self.right
                one.draft.append(token if is_right else token ^ 1)
        else:
            one.record.forget()


class AskedFor(NamedTuple):
    """Answers of one kind."""

    name: str
    sampling: Sampling
    prompts: list[list[int]]
    ends: frozenset[int] = frozenset()
    """Tokens that end an answer before its time."""
    right: float = 0.0
    """How often an oracle is right."""


def tokenizer_of(checkpoint: Path) -> Tokenizer | None:
    """None: the checkpoint has none."""
    path = open_checkpoint(checkpoint).text / "tokenizer.json"
    return Tokenizer.from_file(str(path)) if path.exists() else None


def text_of(checkpoint: Path, file: Path) -> list[int]:
    """In the checkpoint's tokens; any tokens if it has no tokenizer."""
    if (tokenizer := tokenizer_of(checkpoint)) is None:
        vocab = open_checkpoint(checkpoint).spec.vocab
        return random.Random(0).choices(range(1, min(1000, vocab)), k=4 * PROMPT)
    return list(tokenizer.encode(file.read_text()).ids)


def words_of(checkpoint: Path, prompt: list[int]) -> str:
    """A prompt for who reads text, templates included; exits for a checkpoint without words."""
    if (tokenizer := tokenizer_of(checkpoint)) is None:
        sys.exit(f"llama.cpp wants text, and {checkpoint} has no tokenizer")
    return str(tokenizer.decode(prompt, skip_special_tokens=False))


def chats(count: int) -> list[str]:
    """Questions of what a small model knows."""
    asked = [
        "Count from {0} to {1}.", "What is {0} + {1}?", "Write the numbers from {0} to {1}, a comma "
        "between them.", "List {0} animals.", "Tell me about the number {1}.",
    ]  # fmt: skip
    return [asked[i % len(asked)].format(i + 2, i + 20) for i in range(count)]


def edits(checkpoint: Path, text: list[int], count: int) -> list[str]:
    """What is asked of a text, or of JSON, that the answer copies for the most part; none for a
    checkpoint without words."""
    if tokenizer_of(checkpoint) is None:
        return []
    rest = max(1, (len(text) - COPIED) // count)
    parts = [
        words_of(checkpoint, text[at : at + COPIED]) for at in range(rest // 2, rest * count, rest)
    ]
    tasks = [
        "Correct the spelling of this text, and write the whole text:\n\n{0}",
        "Write this JSON again, with the price of the pear doubled:\n\n{1}",
        "Summarise this text by its most important sentences, word for word:\n\n{0}",
        "Add a field `checked` with the value true to this JSON, and write all of it:\n\n{1}",
    ]
    names = ["apple", "pear", "plum", "fig", "lime", "date"]
    items = [[{"name": name, "price": at + i} for i, name in enumerate(names)] for at in range(9)]
    records = [json.dumps({"items": one}, indent=1) for one in items]
    return [
        tasks[at % len(tasks)].format(part, records[at % len(records)])
        for at, part in enumerate(parts)
    ]


def asking(checkpoint: Path, chats: list[str]) -> list[list[int]]:
    """These chats in the checkpoint's tokens; none without a template."""
    try:
        files = TextFiles(open_checkpoint(checkpoint).text)
        frontend = Frontend.load(files, str(checkpoint), max_sequence_length=PROMPT + ANSWER)
    except (OSError, ValueError):
        return []
    bodies = [{"messages": [{"role": "user", "content": text}]} for text in chats]
    return [frontend.tokens_of(ChatCompletionRequest.model_validate(one)) for one in bodies]


def ends_of(checkpoint: Path) -> frozenset[int]:
    """The tokens that end an answer."""
    return TextFiles(open_checkpoint(checkpoint).text).end_token_ids


def quoting(text: list[int], count: int) -> list[list[int]]:
    """Prompts, each of another part of the text."""
    rest = len(text) - PROMPT
    if rest < count:
        sys.exit(f"the text must have {PROMPT + count} tokens, found {len(text)}")
    parts = [text[at : at + PROMPT - QUOTED] for at in range(0, rest, rest // count)][:count]
    return [[*part, *part[:QUOTED]] for part in parts]
