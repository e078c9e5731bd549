"""Trains what drafts for the demo model, on the demo model's own answers: a head as EAGLE-3's are, and a smaller model.

    python train_drafts.py head --minutes 20       # eagle/
    python train_drafts.py model --minutes 20      # small_draft/

Needs the packages of requirements.txt. At the end it says how often drafts are right, behind every token of answers to
questions that were kept from training. Ctrl-C leaves the files as they were.
"""

import argparse
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from draft_head import DraftHead, Rows, load_head, save_head, tapped
from evaluate import AT_ONCE, answer_to
from model import Config, Llama, load, save
from skills import SKILLS, Conversation, draw
from text import SPECIAL, encode
from tokenizers import Tokenizer
from torch import Tensor, nn
from train import optimiser_of, rate_at

import raylax

HERE = Path(__file__).parent
CONVERSATIONS, HELD_OUT = 8_000, 30
"""To train on, and of each skill to measure."""
BATCH_TOKENS, PEAK_RATE = 1536, 2e-3
DEPTH = 4
"""Drafts in a row."""
FADING = 0.8
"""What each counts, of the one before it."""
SMALL = Config(hidden=192, layers=2, heads=3, kv_heads=1, intermediate=384)
RARE = 3
"""Answers in training that a token must be in for the head to name it."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Conversations of like length, and which tokens the model has said."""

    ids: Tensor
    said: Tensor


def answered(conversations: list[Conversation]) -> list[Conversation]:
    """The same with the demo model's answers in the place of the last messages."""
    with (
        raylax.MLCEngine(str(HERE), device="cpu", mode="server") as engine,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        texts = pool.map(lambda one: answer_to(engine, one), conversations)
        return [
            Conversation([*one.messages[:-1], {"role": "assistant", "content": text}], one.tools)
            for one, text in zip(conversations, texts, strict=True)
        ]


def batches_of(items: list[tuple[list[int], list[bool]]]) -> list[Batch]:
    """Each of at most so many tokens."""
    groups: list[list[tuple[list[int], list[bool]]]] = [[]]
    for item in sorted(items, key=lambda item: len(item[0])):
        if groups[-1] and (len(groups[-1]) + 1) * len(item[0]) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(item)
    return [Batch(*(padded([one[part] for one in group]) for part in (0, 1))) for group in groups]


def padded(rows: list[list[int]] | list[list[bool]]) -> Tensor:
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def for_ever(batches: list[Batch], rng: random.Random) -> Iterator[Batch]:
    while True:
        yield from rng.sample(batches, len(batches))


@cache
def known(base: Llama, batch: Batch) -> tuple[Tensor, Tensor]:
    """What the base computes of a batch, once: a gigabyte of all."""
    with torch.no_grad():
        streams, logits = tapped(base, batch.ids)
    return streams.bfloat16(), logits.bfloat16()


def drafts_of_head(
    head: DraftHead, base: Llama, batch: Batch
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of each depth (logits, those of the base, whether the model has said this token), behind every token that it has said,
    and the one before."""
    streams, wanted = (part.float() for part in known(base, batch))
    said, wanted = F.pad(batch.said, (0, DEPTH + 1)), F.pad(wanted, (0, 0, 0, DEPTH + 1))
    begun = said[:, 2 : 2 + batch.ids.shape[1]]
    # those that are there first, then as many others as it takes
    rows = Rows(begun.int().argsort(dim=1, descending=True, stable=True)[:, : begun.sum(1).max()])
    there = torch.ones_like(rows.at, dtype=torch.bool)
    for step, logits in enumerate(head(batch.ids, streams, rows, DEPTH)):
        there = there & rows.of(said, 2 + step)
        yield logits, rows.of(wanted, 1 + step), there


def loss_of_head(head: DraftHead, base: Llama, batch: Batch) -> Tensor:
    """How far the head's distributions are from the base's, among the tokens that it can name."""
    loss, counts = torch.zeros(()), 1.0
    for logits, wanted, there in drafts_of_head(head, base, batch):
        if there.any():
            wanted = wanted[there][:, head.tokens].softmax(-1)
            loss = loss + counts * F.cross_entropy(logits[there], wanted)
        counts *= FADING
    return loss


def loss_of_model(student: Llama, base: Llama, batch: Batch) -> Tensor:
    """The same of a model by itself."""
    said = batch.said[:, 1:]
    wanted = known(base, batch)[1][:, :-1][said].float()
    return F.cross_entropy(student.logits(student(batch.ids[:, :-1])[said]), wanted.softmax(-1))


def train(
    model: nn.Module,
    loss_of: Callable[[Batch], Tensor],
    batches: list[Batch],
    minutes: float,
    peak: float,
) -> None:
    """The learning rate follows the clock."""
    optimiser, begin, average = optimiser_of(model), time.monotonic(), 0.0
    for step, batch in enumerate(for_ever(batches, random.Random(0))):
        progress = (time.monotonic() - begin) / (minutes * 60)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate_at(progress, peak)
        loss = loss_of(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average = 0.98 * average + 0.02 * loss.item() if step else loss.item()
        if step % 100 == 0:
            print(f"step {step:6d}  loss {average:.4f}  {progress:.0%}", flush=True)


@torch.inference_mode()
def right_of_head(head: DraftHead, base: Llama, batches: list[Batch]) -> list[float]:
    """The share of drafts that are right at each depth, those before them among them."""
    right, all_of_them = [0] * DEPTH, [0] * DEPTH
    for batch in batches:
        so_far: Tensor | bool = True
        for step, (logits, wanted, there) in enumerate(drafts_of_head(head, base, batch)):
            so_far = so_far & (head.tokens[logits.argmax(-1)] == wanted.argmax(-1))
            right[step] += int((so_far & there).sum())
            all_of_them[step] += int(there.sum())
    return [a / b for a, b in zip(right, all_of_them, strict=True)]


@torch.inference_mode()
def right_of_model(student: Llama, base: Llama, batches: list[Batch]) -> list[float]:
    """The same of a model by itself. Where its drafts were right it has read what the base has said."""
    right, all_of_them = [0] * DEPTH, [0] * DEPTH
    for batch in batches:
        same = student.logits(student(batch.ids)).argmax(-1) == base.logits(base(batch.ids)).argmax(
            -1
        )
        same, said = F.pad(same[:, :-1], (0, DEPTH)), F.pad(batch.said[:, 1:], (0, DEPTH))
        rows, ats = said[:, : same.shape[1] - DEPTH].nonzero(as_tuple=True)
        so_far = torch.ones(len(ats), dtype=torch.bool)
        for step in range(DEPTH):
            so_far &= same[rows, ats + step]
            right[step] += int((so_far & said[rows, ats + step]).sum())
            all_of_them[step] += int(said[rows, ats + step].sum())
    return [a / b for a, b in zip(right, all_of_them, strict=True)]


def often_said(batches: list[Batch]) -> Tensor:
    """Tokens that are in several answers, in their order."""
    counted: Counter[int] = Counter()
    for batch in batches:
        for ids, said in zip(batch.ids, batch.said, strict=True):
            counted.update(set(ids[said].tolist()))
    return torch.tensor(sorted(token for token, count in counted.items() if count >= RARE))


def kept_from_training() -> list[Conversation]:
    """Some of each skill."""
    return [
        skill.make(rng, True)
        for skill in SKILLS
        for rng in [random.Random(f"drafts {skill.name}")]
        for _ in range(HELD_OUT)
    ]


def head_trained(args: argparse.Namespace, base: Llama, learned: list[Batch]) -> DraftHead:
    """Trained, and written."""
    head = load_head(args.resume, base) if args.resume else DraftHead(base, often_said(learned))
    print(f"{weights_of(head) / 1e3:.0f}k weights, {len(head.tokens)} tokens")
    train(head, lambda batch: loss_of_head(head, base, batch), learned, args.minutes, args.peak)
    save_head(head, base, args.out or HERE / "eagle")
    return head


def model_trained(args: argparse.Namespace, base: Llama, learned: list[Batch]) -> Llama:
    """Trained, and written with what the demo model's text is made by."""
    student = load(args.resume, SMALL).train() if args.resume else Llama(SMALL)
    print(f"{weights_of(student) / 1e3:.0f}k weights")
    loss_of = partial(loss_of_model, student, base)
    train(student, loss_of, learned, args.minutes, args.peak)
    out = args.out or HERE / "small_draft"
    out.mkdir(parents=True, exist_ok=True)
    pad, _, end = (args.tokenizer.token_to_id(text) for text in SPECIAL)
    save(student, out, {"bos_token_id": pad, "eos_token_id": end, "pad_token_id": pad})
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(HERE / name, out / name)
    return student


def weights_of(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["head", "model"])
    parser.add_argument("--out", type=Path, help="checkpoint directory (default: eagle, or small)")
    parser.add_argument("--minutes", type=float, default=20, help="of training (default: 20)")
    parser.add_argument("--resume", type=Path, help="go on from this checkpoint, at half the rate")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    args = parser.parse_args()
    args.peak = PEAK_RATE / 2 if args.resume else PEAK_RATE
    args.tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    return args


def main() -> None:
    args, base = arguments(), load(HERE)
    torch.manual_seed(0)
    rng = random.Random(8 if args.resume else 7)
    drawn = [draw(rng) for _ in range(args.conversations)]
    said = answered([*drawn, *kept_from_training()])
    both = [encode(args.tokenizer, one) for one in said]
    learned, asked = batches_of(both[: len(drawn)]), batches_of(both[len(drawn) :])
    torch.set_num_threads(args.threads)
    if args.what == "head":
        shares = right_of_head(head_trained(args, base, learned), base, asked)
    else:
        shares = right_of_model(model_trained(args, base, learned), base, asked)
    print("right at depth 1, 2, …: " + ", ".join(f"{share:.1%}" for share in shares))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
