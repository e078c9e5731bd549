"""Heads of EAGLE's against torch (tests/goldens/heads.py), however their steps are cut."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from raylax.kernels.heads.base import DraftHead, HeadOutput
from raylax.kernels.heads.eagle import head_footprint, load_head
from raylax.kernels.model import Floats, Ints
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.batches import Piece, batch_of
from tests.support.checkpoints import write_checkpoint
from tests.support.draft_heads import HEADS, Head, inputs_of, write_head
from tests.support.paths import GOLDENS
from tests.support.shards import bits

OPTIONS = ModelOptions("q0f32", "auto", "cpu", None, 2, 128, 16, 128)
PAGES, ELSEWHERE = [7, 3, 11], [5, 2, 9]


class Golden(NamedTuple):
    """What torch computes of a prompt, and of what follows it."""

    features: Floats
    """Of the prompt's tokens."""
    logits: Floats
    """Of its last token, and of those that are drafted."""
    hidden: Floats
    drawn: Ints


def golden(variant: str) -> Golden:
    with np.load(GOLDENS / "heads.npz") as file:
        return Golden(*(file[f"{variant}/{part}"] for part in Golden._fields))


def error(got: Floats, want: Floats) -> float:
    """Largest error as a share of the scale."""
    return float(np.abs(got - want).max() / np.abs(want).max())


class Files(NamedTuple):
    """Where a head lies, and its base."""

    head: Path
    base: Path


@pytest.fixture(scope="module", params=list(HEADS))
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def files(variant: str, tmp_path_factory: pytest.TempPathFactory) -> Files:
    path = tmp_path_factory.mktemp(variant)
    base = write_checkpoint(path / "base", HEADS[variant].base)
    return Files(write_head(path / "head", variant), base)


@pytest.fixture(scope="module")
def head(files: Files) -> Iterator[DraftHead]:
    yield load_head(*files, OPTIONS, 32)


def tapped_of(one: Head, taps: tuple[int, ...], tapped: Floats) -> Floats:
    """As a base keeps it: each residual stream once."""
    parts = tapped.reshape(len(tapped), len(one.taps), -1)
    return parts[:, [one.taps.index(tap) for tap in taps]].reshape(len(tapped), -1)


def started(variant: str, head: DraftHead) -> tuple[list[int], Floats]:
    """The golden's prompt, and its features."""
    one = HEADS[variant]
    ids, tapped = inputs_of(one, len(golden(variant).features))
    return ids, head.features(tapped_of(one, head.taps, tapped))


def drafts(head: DraftHead, ids: list[int], first: HeadOutput, count: int) -> list[HeadOutput]:
    """What follows, token by token."""
    found = [first]
    for at in range(len(ids), len(ids) + count):
        last = found[-1]
        piece = Piece([int(last.drawn[0])], at, PAGES)
        found.append(kept(head.step(batch_of([piece]), last.hidden)))
    return found


def kept(output: HeadOutput) -> HeadOutput:
    """A copy, for later."""
    drawn, largest = output.drawn.copy(), output.largest.copy()
    return HeadOutput(np.array(output.logits), output.tokens, drawn, largest, output.hidden.copy())


def test_a_draft_is_torchs(variant: str, head: DraftHead) -> None:
    """Features of a prompt in one step; and of each token after it the logits, the token and what
    the next step goes on from."""
    want = golden(variant)
    ids, features = started(variant, head)

    first = kept(head.step(batch_of([Piece(ids, 0, PAGES)]), features))
    found = drafts(head, ids, first, len(want.drawn) - 1)

    assert error(features, want.features) < 1e-5
    assert [int(one.drawn[0]) for one in found] == want.drawn.tolist()
    assert error(np.concatenate([one.logits for one in found]), want.logits) < 1e-4
    assert error(np.concatenate([one.hidden for one in found]), want.hidden) < 1e-4


@pytest.mark.parametrize(
    ("variant", "quantization"),
    [("eagle-1", "q4f32_1"), ("eagle-3", "w8a8"), ("eagle-3-odd", "q0f32")],
    indirect=["variant"],
)
def test_a_row_has_the_same_bits_in_any_step(
    variant: str, quantization: str, tmp_path: Path
) -> None:
    """Law 1: a prompt at once, or in parts beside others; formats that round rows, or groups."""
    base = write_checkpoint(tmp_path / "base", HEADS[variant].base)
    options = replace(OPTIONS, quantization=quantization)
    head = load_head(write_head(tmp_path / "head", variant), base, options, 32)
    ids, features = started(variant, head)
    alone = kept(head.step(batch_of([Piece(ids, 0, PAGES)]), features))

    for page in ELSEWHERE:
        head.write_page(page, b"\xff" * head.page_bytes)
    head.step(batch_of([Piece(ids[:20], 0, ELSEWHERE)]), features[:20])
    pieces = [Piece(ids[:3], 0, [20]), Piece(ids[20:], 20, ELSEWHERE)]
    beside = head.step(batch_of(pieces), np.concatenate((features[:3], features[20:])))

    assert np.array_equal(bits(beside.logits[1]), bits(alone.logits[0]))
    assert np.array_equal(bits(beside.hidden[1]), bits(alone.hidden[0]))


def test_pages_go_from_one_head_to_another(files: Files, variant: str, head: DraftHead) -> None:
    """Keys and values of one are those of another that has the same files."""
    other = load_head(*files, OPTIONS, 16)
    ids, features = started(variant, head)
    first = kept(head.step(batch_of([Piece(ids, 0, PAGES)]), features))
    for page in PAGES:
        other.write_page(page, head.read_page(page))

    piece = batch_of([Piece(first.drawn.tolist(), len(ids), PAGES)])
    want = kept(head.step(piece, first.hidden))

    assert np.array_equal(bits(other.step(piece, first.hidden).logits), bits(want.logits))


def test_of_several_ranks_one_has_the_head(files: Files, head: DraftHead) -> None:
    """Whatever is said of its base: shards, stages and streams."""
    options = replace(OPTIONS, degree=Degree(2, 2), taps=head.taps)

    assert head_footprint(*files, options) == head_footprint(*files, OPTIONS)
    assert load_head(*files, options, 32).page_bytes == head.page_bytes


def test_a_head_says_what_it_takes(files: Files, head: DraftHead) -> None:
    """Before anything is built."""
    said = head_footprint(*files, OPTIONS)

    assert said.page == head.page_bytes
    assert said.weights > 0 and said.workspace > 0


def test_a_head_sees_the_window_that_was_asked_for(tmp_path: Path) -> None:
    """As its base does: all of it, if nothing is behind; else its last tokens, and the first."""
    base = write_checkpoint(tmp_path / "base", HEADS["eagle-1"].base)
    path = write_head(tmp_path / "head", "eagle-1")

    def said(window: int, sinks: int = 0, *changed: int) -> Floats:
        """Logits behind the golden's prompt, in which these tokens are others."""
        head = load_head(path, base, replace(OPTIONS, window=window, sinks=sinks), 32)
        ids, features = started("eagle-1", head)
        for at in changed:
            ids[at] = (ids[at] + 1) % 99
        return kept(head.step(batch_of([Piece(ids, 0, PAGES)]), features)).logits

    whole, near = said(0), said(8)

    assert np.array_equal(bits(said(64)), bits(whole))
    assert np.array_equal(bits(said(64, 4)), bits(whole))
    assert not np.array_equal(bits(near), bits(whole))
    assert np.array_equal(bits(said(8, 0, 0, 12)), bits(near))
    assert np.array_equal(bits(said(8, 2, 12)), bits(said(8, 2)))
    assert not np.array_equal(bits(said(8, 2, 0)), bits(said(8, 2)))
