"""The file of packed weights comes to its disk while it is written."""

import os
from collections.abc import Iterator

import pytest

from raylax.kernels.cpu import weights
from raylax.kernels.cpu.weights import Syncing


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Files whose content was brought to the disk."""
    files = list[int]()
    monkeypatch.setattr(os, "fdatasync", files.append)
    monkeypatch.setattr(weights, "UNSYNCED", 100)
    yield files


def test_little_is_left_for_the_end(synced: list[int]) -> None:
    """Each so many bytes are on the disk before as many more are written."""
    with Syncing(7) as syncing:
        for _ in range(5):
            syncing.written(60)

    assert synced == [7, 7, 7]


def test_a_disk_that_fails_is_heard_of(synced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output error"), Syncing(7) as syncing:
        syncing.written(100)
        syncing.written(100)


def test_nobody_waits_for_what_is_thrown_away(synced: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt), Syncing(7) as syncing:
        syncing.written(60)
        raise KeyboardInterrupt

    assert synced == []
