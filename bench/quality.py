"""What a weight or KV format costs: perplexity, and divergence from f32, on text kept from training.

    python bench/quality.py [CHECKPOINT --text FILE] [--samples 300] [--formats q4f32_1 ...]

Without a checkpoint (a directory or a GGUF file), the demo model and answers on content that it has
not seen: only the assistants' tokens count, for the rest was not trained. Of a text, samples are
windows of 512 tokens spread over it, and their second halves count. KL is the mean divergence of a
format's distribution from that of f32, in nats; top-1 is how often both find the same token
likeliest; the last column how far the log-probability of the text's own token moves, on average.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tokenizers import Tokenizer

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.formats import NAMES
from raylax.kernels.cpu.kept import kept
from raylax.kernels.cpu.model import load_model
from raylax.kernels.errors import CheckpointError
from raylax.kernels.model import Model, StepBatch
from raylax.kernels.options import ModelOptions

DEMO = Path(__file__).resolve().parents[1] / "deploy" / "demo_model"
LONGEST = 512
PAGES = LONGEST // 16
REFERENCE = "q0f32"
FORMATS = {
    **{name: (name, "auto") for name in NAMES},
    "q0f32, KV int8": ("q0f32", "int8"),
    "q4f32_1, KV int8": ("q4f32_1", "int8"),
}
STORED = {"auto": ("auto", "auto")}
"""Of a quantised checkpoint: in the groups that it has, so that only activations are rounded."""
Logs = npt.NDArray[np.float64]


class Text(NamedTuple):
    """A sequence, and which of its tokens count."""

    ids: list[int]
    judged: npt.NDArray[np.int64]


def conversations(count: int) -> list[Text]:
    """On content that the demo model has not seen."""
    sys.path.insert(0, str(DEMO))
    from skills import SKILLS
    from text import encode

    rng, tokenizer = random.Random(0), Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    drawn = [encode(tokenizer, rng.choice(SKILLS).make(rng, True)) for _ in range(count)]
    return [Text(ids[:LONGEST], np.flatnonzero(learned[:LONGEST])) for ids, learned in drawn]


def windows(checkpoint: Path, file: Path, count: int) -> list[Text]:
    tokenizer = Tokenizer.from_file(str(open_checkpoint(checkpoint).text / "tokenizer.json"))
    ids = tokenizer.encode(file.read_text(), add_special_tokens=False).ids
    if len(ids) < LONGEST:
        sys.exit(f"{file}: a window is {LONGEST} tokens, the whole text has {len(ids)}")
    starts = np.linspace(0, len(ids) - LONGEST, count).astype(int)
    return [Text(ids[at : at + LONGEST], np.arange(LONGEST // 2, LONGEST)) for at in starts]


def log_probabilities(model: Model, text: Text) -> Logs:
    """[judged token, vocab]: what the model expected there."""
    ids, count = text.ids, len(text.ids)
    at = np.arange(count, dtype=np.int32)
    batch = StepBatch(
        np.array(ids, np.int32),
        at,
        at,
        np.array([0, count], np.int32),
        np.array([count], np.int32),
        np.arange(PAGES, dtype=np.int32)[None],
        (text.judged - 1).astype(np.int32),
    )
    logits = model.step(batch).logits.astype(np.float64)
    peak = logits.max(1, keepdims=True)
    logs: Logs = logits - peak - np.log(np.exp(logits - peak).sum(1, keepdims=True))
    return logs


class Score(NamedTuple):
    """Of each judged token: its log-probability, KL from the reference, whether top-1 is the same,
    and by how much the log-probability differs."""

    said: Logs
    kl: Logs
    same: npt.NDArray[np.bool_]
    moved: Logs


def score(logs: Logs, reference: Logs, text: Text) -> Score:
    own = np.arange(len(logs)), np.array(text.ids)[text.judged]
    return Score(
        logs[own],
        (np.exp(reference) * (reference - logs)).sum(1),
        logs.argmax(1) == reference.argmax(1),
        np.abs(logs[own] - reference[own]),
    )


def measure(checkpoint: Path, texts: list[Text], wanted: Sequence[str]) -> dict[str, Score]:
    options = ModelOptions(
        max_step_tokens=LONGEST, max_step_rows=LONGEST, max_sequence_length=LONGEST
    )
    formats = FORMATS | (STORED if kept(open_checkpoint(checkpoint)) else {})
    models = {
        label: load_model(checkpoint, replace(options, quantization=name, kv_dtype=kv), PAGES)
        for label, (name, kv) in track(formats.items(), "load", transient=True)
        if not wanted or label in (REFERENCE, *wanted)
    }
    scores: dict[str, list[Score]] = defaultdict(list)
    for text in track(texts, "measure", transient=True):
        reference = log_probabilities(models[REFERENCE], text)
        for label, model in models.items():
            scores[label].append(score(log_probabilities(model, text), reference, text))
    return {
        label: Score(*map(np.concatenate, zip(*of_texts, strict=True)))
        for label, of_texts in scores.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", nargs="?", type=Path, help="the demo model")
    parser.add_argument("--text", type=Path, help="that the checkpoint has not seen")
    parser.add_argument("--samples", type=int, default=300, help="conversations or windows")
    known = [*FORMATS, *STORED]
    parser.add_argument("--formats", nargs="+", default=[], choices=known, metavar="FORMAT")
    args = parser.parse_args()
    if bool(args.checkpoint) != bool(args.text):
        parser.error("CHECKPOINT and --text go together: each checkpoint needs text of its kind")
    if args.samples < 1:
        parser.error(f"--samples must be at least 1, found {args.samples}")
    checkpoint = args.checkpoint or DEMO
    for file in (checkpoint, args.text or checkpoint):
        if not file.exists():
            parser.error(f"{file}: no such file")
    try:
        if args.text:
            texts = windows(checkpoint, args.text, args.samples)
        else:
            texts = conversations(args.samples)
        scores = measure(checkpoint, texts, args.formats)
    except CheckpointError as error:
        sys.exit(str(error))
    table = Table("format", "perplexity", "KL from f32", "top-1 as f32", "log-probability moves")
    for label, (said, kl, same, moved) in scores.items():
        perplexity = f"{np.exp(-said.mean()):#.5g}"
        means = f"{kl.mean():.5f}", f"{same.mean():.2%}", f"{moved.mean():.4f}"
        table.add_row(label, perplexity, *means)
    Console().print(table)


if __name__ == "__main__":
    main()
