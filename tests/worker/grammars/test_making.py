"""Matchers are made while requests wait, or why there is none is said."""

import os
import shutil
import threading
from pathlib import Path
from queue import Queue

import pytest

from raylax.proto.calls.sampling_defaults import vocabulary_for_grammars
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.grammar.writing import grammar_of
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Finish, Request, Sampling
from raylax.worker.grammars.making import NICE, NICEST, MatcherMaker
from tests.support.engines import ONE, running_engine

BINARY = grammar_of(Constraint("regex", "[01]{4}", "field"))


def asked(id: str, grammar: str) -> Request:
    return Request(id, (5, 6, 7), 20, Sampling(grammar=grammar), stop_token_ids=frozenset({1}))


def test_who_waits_for_a_matcher_keeps_nobody_waiting(checkpoint: Path) -> None:
    with running_engine(checkpoint, ONE) as (engine, answers):
        engine.add_request(asked("formed", BINARY))
        engine.add_request(Request("free", (5, 6), 4))
        answers.wait_for("formed", "free")

        assert answers.ends("formed") == [Finish.STOP]
        assert {16, 17} >= {*answers.tokens("formed")}


@pytest.mark.parametrize("wrong", ["start: <|nowhere|>", "no grammar", '{"grammars": 3}'])
def test_a_grammar_that_is_none_is_its_requests_fault(checkpoint: Path, wrong: str) -> None:
    """And nobody else's."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        engine.add_request(asked("wrong", wrong))
        engine.add_request(asked("right", BINARY))
        answers.wait_for("wrong", "right")

        (last,) = answers.deltas["wrong"]
        assert last.finish is Finish.ERROR
        assert last.error is not None and last.error.startswith("the grammar: ")
        assert answers.ends("right") == [Finish.STOP]


def test_without_a_tokenizer_no_grammar_is_followed(checkpoint: Path, tmp_path: Path) -> None:
    """The model serves all else."""
    bare = Path(shutil.copytree(checkpoint, tmp_path / "bare"))
    (bare / "tokenizer.json").unlink()
    with running_engine(bare, ONE) as (engine, answers):
        engine.add_request(asked("formed", BINARY))
        engine.add_request(Request("free", (5, 6), 4))
        answers.wait_for("formed", "free")

        (last,) = answers.deltas["formed"]
        assert last.error is not None
        assert last.error.startswith("this model can follow no grammar: ")
        assert len(answers.tokens("free")) == 4


def test_who_makes_them_gives_way(checkpoint: Path) -> None:
    """To all other threads of the process, and takes nothing from those."""
    found = Queue[tuple[str, int]]()
    here = threading.get_native_id()
    maker = MatcherMaker(
        lambda id, matcher, why: found.put(
            (why, os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        )
    )
    before = os.getpriority(os.PRIO_PROCESS, here)
    maker.make(
        asked("one", BINARY),
        Matchers(lambda: vocabulary_for_grammars(TextFiles(checkpoint), 99), 99),
    )
    why, niceness = found.get(timeout=60)
    maker.close()

    assert (why, niceness) == ("", min(NICEST, before + NICE))
    assert os.getpriority(os.PRIO_PROCESS, here) == before


def test_an_engine_that_ends_makes_none(checkpoint: Path) -> None:
    """Who was accepted just before ends with it, once."""
    made = list[str]()
    maker = MatcherMaker(lambda id, matcher, why: made.append(id))
    matchers = Matchers(lambda: vocabulary_for_grammars(TextFiles(checkpoint), 99), 99)
    maker.make(asked("before", BINARY), matchers)
    maker.close()
    maker.make(asked("after", BINARY), matchers)

    assert "after" not in made
