"""How a student learns to say what its teacher says, and how often it does."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from student.answers import Said
from student.layers import Llama, Student
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from train import HAS_BF16
from train_drafts import train

BATCH_TOKENS = 1024
PEAK_RATE = 1e-3
DEPTH = 6
"""Drafts in a row that are counted."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Answers of like length."""

    ids: Tensor
    """[answers, length]"""
    says: Tensor
    """[answers, length]: whether the next token is one of the answer's."""


def often_said(said: list[Said], most: int) -> Tensor:
    """The tokens that answers are made of: so many at most, the most frequent, in their order."""
    counted = Counter(token for one in said for token in one.answer)
    return torch.tensor(sorted(token for token, _ in counted.most_common(most)))


def batches_of(said: list[Said]) -> list[Batch]:
    """Each of at most so many tokens."""
    groups: list[list[Said]] = [[]]
    for one in sorted(said, key=lambda one: len(one.prompt) + len(one.answer)):
        length = len(one.prompt) + len(one.answer)
        if groups[-1] and (len(groups[-1]) + 1) * length > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(one)
    return [batch_of(group) for group in groups]


def batch_of(group: list[Said]) -> Batch:
    length = max(len(one.prompt) + len(one.answer) for one in group) - 1
    ids = torch.zeros(len(group), length, dtype=torch.long)
    says = torch.zeros(len(group), length, dtype=torch.bool)
    for row, one in enumerate(group):
        text = [*one.prompt, *one.answer][:-1]
        ids[row, : len(text)] = torch.tensor(text)
        says[row, len(one.prompt) - 1 : len(text)] = True
    return Batch(ids, says)


@contextmanager
def soon() -> Iterator[None]:
    """In bf16 where the CPU has that, and attention in the way of torch's that is fastest then."""
    with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16), sdpa_kernel(SDPBackend.MATH):
        yield


@cache
def known(teacher: Llama, batch: Batch) -> Tensor:
    """[tokens of answers, hidden]: what the teacher comes to before each, computed once."""
    with torch.no_grad(), soon():
        return teacher(batch.ids)[batch.says]


def loss_of(student: Student, teacher: Llama, batch: Batch) -> Tensor:
    """How far the student's distributions are from the teacher's, among the tokens it can name."""
    with soon():
        logits = student.logits(student(batch.ids)[batch.says])
        wanted = student.logits(known(teacher, batch))
    return F.cross_entropy(logits.float(), wanted.float().softmax(-1))


def learn(student: Student, teacher: Llama, batches: list[Batch], minutes: float) -> None:
    """Train it for so long, the teacher's part included."""
    train(student, partial(loss_of, student, teacher), batches, minutes, PEAK_RATE)


@torch.no_grad()
def right(student: Student, teacher: Llama, batches: list[Batch]) -> list[float]:
    """The share of greedy drafts that are right at each depth, all before them being right."""
    counts, of = [0] * DEPTH, [0] * DEPTH
    for batch in batches:
        same = torch.zeros(batch.says.shape, dtype=torch.bool)
        with soon():
            named = student.tokens[student.logits(student(batch.ids)[batch.says]).argmax(-1)]
            same[batch.says] = named == teacher.logits(known(teacher, batch)).argmax(-1)
        so_far = batch.says.clone()
        for depth in range(DEPTH):
            there = batch.says & F.pad(batch.says, (0, depth))[:, depth:]
            so_far &= F.pad(same, (0, depth))[:, depth:]
            counts[depth] += int((so_far & there).sum())
            of[depth] += int(there.sum())
    return [a / max(1, b) for a, b in zip(counts, of, strict=True)]
