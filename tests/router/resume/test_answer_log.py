"""Answers in files: locked while their router lives, readable however it ended."""

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs
from raylax.router.resume import answer_log
from raylax.router.resume.answer_log import AnswerLog, AnswerLogs, Beginning

BEGINNING = Beginning("chatcmpl-1", "ann", "events", "m", 30.0, 1000.0, "session")
DELTAS = [
    Delta("r/0/0", (5,), cached_tokens=16),
    Delta("r/0/0", (6, 7), (TokenLogprobs(-0.1, ((6, -0.1), (9, -2.3))), TokenLogprobs(-1 / 3))),
    Delta("r/0/1", (8,)),
    Delta("r/0/1", (9,), finish=Finish.STOP),
]


def begun(directory: Path) -> tuple[AnswerLogs, AnswerLog]:
    logs = AnswerLogs(directory)
    made = logs.begin(BEGINNING, b"content")
    assert made is not None
    for together in (DELTAS[:1], DELTAS[1:]):
        for delta in together:
            made.add(delta)
        made.flush()
    return logs, made


def deltas(log: AnswerLog) -> list[Delta]:
    return [delta for together in log.said for delta in together]


def test_what_was_written_is_read_by_the_next_one(tmp_path: Path) -> None:
    """Deltas as they were, to the last bit; and what comes later."""
    logs, made = begun(tmp_path)
    made.leave()
    taken = logs.take("chatcmpl-1", "ann")
    assert taken is not None
    taken.add(Delta("r/0/0", (10,)))
    taken.flush()
    taken.leave()
    again = logs.take("chatcmpl-1", "ann")

    assert (taken.beginning, taken.content) == (BEGINNING, b"content")
    assert taken.said == [DELTAS[:1], DELTAS[1:]]
    assert again is not None
    assert again.said == [*taken.said, [Delta("r/0/0", (10,))]]


def test_a_client_must_be_who_asked(tmp_path: Path) -> None:
    """To others it is as if there were none, also while a router holds it."""
    logs, made = begun(tmp_path)
    assert logs.take("chatcmpl-1", "bob") is None
    made.leave()

    assert logs.take("chatcmpl-1", "bob") is None
    assert logs.take("chatcmpl-2", "ann") is None
    assert logs.take("chatcmpl-1", "ann") is not None


def test_the_router_that_answers_holds_it(tmp_path: Path) -> None:
    logs, _ = begun(tmp_path)

    with pytest.raises(WorkerUnavailable, match="the router that has this answer"):
        logs.take("chatcmpl-1", "ann")


def test_a_killed_router_lets_go_of_it(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from tests.router.resume.test_answer_log import begun
begun(Path({str(tmp_path)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    taken = AnswerLogs(tmp_path).take("chatcmpl-1", "ann")

    assert taken is not None
    assert deltas(taken) == DELTAS


@pytest.mark.parametrize("seed", range(3))
def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, seed: int) -> None:
    """And gone on with after its last whole delta."""
    logs, made = begun(tmp_path)
    made.leave()
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for cut in random.Random(seed).sample(range(len(whole)), k=12):
        file.write_bytes(whole[:cut])
        taken = logs.take("chatcmpl-1", "ann")
        if taken is None:
            continue
        assert deltas(taken) == DELTAS[: len(deltas(taken))]
        taken.add(DELTAS[0])
        taken.flush()
        taken.leave()
        again = logs.take("chatcmpl-1", "ann")
        assert again is not None
        assert deltas(again) == [*deltas(taken), DELTAS[0]]
        again.leave()


def test_an_error_is_not_kept(tmp_path: Path) -> None:
    """Another router may do better."""
    logs, made = begun(tmp_path)
    made.add(Delta("r/0/0", (), finish=Finish.ERROR, error="no"))
    made.flush()
    made.leave()
    taken = logs.take("chatcmpl-1", "ann")

    assert taken is not None
    assert deltas(taken) == DELTAS


def test_an_answer_that_is_too_long_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_log, "MOST_BYTES", 400)
    _, made = begun(tmp_path)
    for _ in range(100):
        made.add(DELTAS[0])
        made.flush()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_file_and_not_the_answer(tmp_path: Path) -> None:
    _, made = begun(tmp_path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, made._file)
    os.close(full)
    assert made.lost == ""
    for _ in range(2):
        made.add(DELTAS[0])
        made.flush()

    assert made.lost == "No space left on device"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", ["open", "write"])
def test_a_file_that_cannot_be_begun_is_lost_from_the_start(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever uses it goes on."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, fails, refuse)
        made = AnswerLogs(tmp_path).begin(BEGINNING, b"content")
    assert made is not None
    made.add(DELTAS[0])
    made.flush()
    made.remove()
    made.leave()

    assert made.lost == "No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_refused_where_no_directory_can_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of a descriptor: what is old is swept away another time."""

    def refuse(*_: object) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refuse)
    made = AnswerLogs(tmp_path).begin(BEGINNING, b"content")

    assert made is not None and made.lost == ""


def test_without_a_directory_answers_end_with_their_router(tmp_path: Path) -> None:
    for logs in (AnswerLogs(None), AnswerLogs(tmp_path / "none")):
        assert logs.begin(BEGINNING, b"") is None
        assert logs.take("chatcmpl-1", "ann") is None


def test_what_nobody_comes_back_to_is_swept_away(tmp_path: Path) -> None:
    """Unless a router is still at it. What the time of day is does not matter: it may jump."""
    _, held = begun(tmp_path)
    now = 0.0
    logs = AnswerLogs(tmp_path, lambda: now)
    left = logs.begin(Beginning("chatcmpl-2", "ann", "events", "m", 30.0, 1.0), b"")
    assert left is not None
    left.leave()
    for file in tmp_path.iterdir():
        os.utime(file, (0, 0))

    def names_after(name: str) -> list[str]:
        made = logs.begin(Beginning(name, "ann", "events", "m", 30.0, 1.0), b"")
        assert made is not None
        heads = [file.read_bytes()[4:].split(b"}")[0] + b"}" for file in tmp_path.iterdir()]
        made.remove()
        return sorted(json.loads(head)["name"] for head in heads)

    now = answer_log.SWEEP_EVERY_S
    assert names_after("chatcmpl-3") == ["chatcmpl-1", "chatcmpl-2", "chatcmpl-3"]
    now += answer_log.FORGOTTEN_AFTER_S + 1
    assert names_after("chatcmpl-4") == ["chatcmpl-1", "chatcmpl-4"]
    held.remove()


def test_files_are_for_this_user_alone(tmp_path: Path) -> None:
    begun(tmp_path)
    (file,) = tmp_path.iterdir()

    assert file.stat().st_mode & 0o777 == 0o600
