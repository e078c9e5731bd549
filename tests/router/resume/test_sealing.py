"""Bytes that become objects of ours again, and nothing else."""

import os
import pickle
from collections import deque

import pytest

from raylax.proto.vocabulary import Request, Sampling
from raylax.router.resume.sealing import Unsealable, seal, unseal

TOKENIZER = object()


def test_values_come_back_and_what_is_shared_is_put_in() -> None:
    request = Request("r", (1, 2), 5, Sampling(seed=7), stop_token_ids=frozenset({3}))
    sealed = seal([request, TOKENIZER, deque([1])], {"tokenizer": TOKENIZER})
    there = object()

    assert unseal(sealed, {"tokenizer": there}) == [request, there, deque([1])]
    assert b"object" not in sealed


@pytest.mark.parametrize("harmful", [os.system, eval, getattr, pickle.loads, os.environ.__class__])
def test_nothing_else_is_made_of_bytes(harmful: object) -> None:
    with pytest.raises(Unsealable, match="is nothing that is sealed"):
        unseal(pickle.dumps(harmful), {})


@pytest.mark.parametrize("broken", [b"", b"nonsense", pickle.dumps([1])[:-3]])
def test_broken_bytes_are_refused(broken: bytes) -> None:
    with pytest.raises(Unsealable):
        unseal(broken, {})
