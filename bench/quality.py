"""What a weight format costs: perplexity, and divergence from f32, on answers kept from training.

    python bench/quality.py [--conversations 300]

The model is the demo model: another checkpoint would need text that it was trained for. Only the
assistants' tokens count, for the rest was not trained. KL is the mean divergence of a format's
distribution from that of f32, in nats; top-1 is how often both find the same token likeliest.
"""

import argparse
import random
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from raylax.kernels.build import ModelOptions
from raylax.kernels.formats import NAMES
from raylax.kernels.model import Model, load_model

DEMO = Path(__file__).resolve().parents[1] / "deploy" / "demo_model"
LONGEST = 512
PAGES = LONGEST // 16
SMALL_KV = (("q0f32, KV int8", "q0f32", "int8"), ("q4f32_1, KV int8", "q4f32_1", "int8"))
Logs = npt.NDArray[np.float64]


class Text(NamedTuple):
    """A conversation, and where the assistants' tokens are in it."""

    ids: list[int]
    answers: npt.NDArray[np.int64]


def conversations(count: int) -> list[Text]:
    """On content that the demo model has not seen."""
    sys.path.insert(0, str(DEMO))
    from skills import SKILLS
    from text import encode

    rng, tokenizer = random.Random(0), Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    drawn = [encode(tokenizer, rng.choice(SKILLS).make(rng, True)) for _ in range(count)]
    return [Text(ids[:LONGEST], np.flatnonzero(learned[:LONGEST])) for ids, learned in drawn]


def log_probabilities(model: Model, text: Text) -> Logs:
    """[answer token, vocab]: what the model expected there."""
    ids, count = text.ids, len(text.ids)
    at = np.arange(count, dtype=np.int32)
    logits = model.step(
        np.array(ids, np.int32),
        at,
        at,
        np.array([0, count], np.int32),
        np.array([count], np.int32),
        np.arange(PAGES, dtype=np.int32)[None],
        (text.answers - 1).astype(np.int32),
    ).logits.astype(np.float64)
    peak = logits.max(1, keepdims=True)
    logs: Logs = logits - peak - np.log(np.exp(logits - peak).sum(1, keepdims=True))
    return logs


def expected(logs: Logs, text: Text) -> Logs:
    """The log-probability of each answer token."""
    right: Logs = logs[np.arange(len(logs)), np.array(text.ids)[text.answers]]
    return right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=300)
    texts = conversations(parser.parse_args().conversations)
    limits = {"max_step_tokens": LONGEST, "max_step_rows": LONGEST, "max_sequence_length": LONGEST}
    models = {
        label: load_model(DEMO, ModelOptions(name, kv, **limits), PAGES)
        for label, name, kv in (*((name, name, "auto") for name in NAMES), *SMALL_KV)
    }
    table = Table("format", "perplexity", "KL from f32", "top-1 as f32")
    reference = [log_probabilities(models["q0f32"], text) for text in texts]
    for name, model in models.items():
        found = [log_probabilities(model, text) for text in texts]
        said = np.concatenate([expected(*pair) for pair in zip(found, texts, strict=True)])
        pairs = list(zip(reference, found, strict=True))
        kl = np.concatenate([(np.exp(a) * (a - b)).sum(1) for a, b in pairs]).mean()
        same = np.concatenate([a.argmax(1) == b.argmax(1) for a, b in pairs]).mean()
        table.add_row(name, f"{np.exp(-said.mean()):.4f}", f"{kl:.5f}", f"{same:.2%}")
    Console().print(table)


if __name__ == "__main__":
    main()
