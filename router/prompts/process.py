"""A process that makes prompts: it answers one question after another until it is ended.

What it says is not believed by the router, which bounds it and checks it; and what it does is
bounded from outside, by a deadline and a limit of memory.
"""

import ctypes
import os
import resource
import signal
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from mmap import mmap
from struct import Struct

from raylax.proto.calls.prompt_maker import PromptMaker
from raylax.proto.calls.prompt_work import ChatWork, DecodeWork, ListWork, PromptWork, Work
from raylax.proto.calls.token_list import token_list
from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.grammar.checking import checked_grammar
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.warnings import collect_warnings
from raylax.router.prompts.frames import ID, QUESTION, Answer, answer_frame, question_of

STAGES = ("chat template or tokenizer", "chat template", "tokenizer", "grammar")
"""Whose program runs: the first byte of what a process shares with its router."""
NOT_BEGUN = 255
"""Stands there until the process has taken its question."""
CPU_AT_START = Struct("<8xd")
"""And the CPU time that it had used before the question."""
SHARED_BYTES = 16
ONE_READ = 1 << 16
LONGEST_MESSAGE = 4096
INVALID, TOO_LONG, MEMORY, FAILED = "invalid", "too long", "memory", "failed"
PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Be killed when the parent ends, whatever it dies of."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit_memory(more_bytes: int) -> None:
    """From now on this process may have so much more memory of its own, and leaves no core."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[5])
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + more_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer_questions(sock: socket.socket, shared: mmap, makers: Sequence[PromptMaker]) -> None:
    """Until the router closes the connection."""
    while (packed := next_question(sock)) is not None:
        CPU_AT_START.pack_into(shared, 0, time.process_time())
        shared[0] = 0
        sock.sendall(answer_frame(answer(makers, packed, shared)))


def next_question(sock: socket.socket) -> memoryview | None:
    """What the router asks, without the head of the frame; None when it has left."""
    data = sock.recv(ONE_READ)
    while data and len(data) < QUESTION.size:
        data += sock.recv(ONE_READ)
    if not data:
        return None
    size = QUESTION.size + QUESTION.unpack_from(data)[0]
    if len(data) == size:  # as nearly all are
        return memoryview(data)[QUESTION.size :]
    whole = memoryview(bytearray(size))
    whole[: len(data)], at = data, len(data)
    while at < size:
        more = sock.recv_into(whole[at:])
        if not more:
            return None
        at += more
    return whole[QUESTION.size :]


def answer(makers: Sequence[PromptMaker], packed: memoryview, shared: mmap) -> Answer:
    """What comes of a question, be it an error. `shared` is told whose program runs."""

    def entered(stage: str) -> None:
        shared[0] = STAGES.index(stage)

    warnings = collect_warnings()
    try:
        question = question_of(packed)
        lengths, content = done(makers[question.model], question.work, entered)
    except PromptTooLong as error:
        return failure(TOO_LONG, error.message, error.param)
    except InvalidRequest as error:
        if isinstance(error.__cause__, MemoryError):
            return failure(MEMORY, STAGES[shared[0]])
        return failure(INVALID, error.message, error.param)
    except MemoryError:
        return failure(MEMORY, STAGES[shared[0]])
    except BaseException:  # a panic of the tokenizer is no Exception, and may quote the prompt
        return failure(FAILED, STAGES[shared[0]])
    return Answer(lengths, warnings.said, "", "", None, content)


def done(maker: PromptMaker, work: Work, entered: Callable[[str], None]) -> tuple[list[int], bytes]:
    """Lengths and ids of prompts, or the bytes that are asked for."""
    match work:
        case ListWork():
            (ids,) = ids_of(maker, work.of, entered)
            listed = token_list(
                maker.tokenizer, ids, work.max_model_len, work.names, work.most_bytes
            )
            return [len(ids)], listed
        case DecodeWork():
            entered("tokenizer")
            return [], maker.tokenizer.decode(work.ids, skip_special_tokens=False).encode()
        case Constraint():
            entered("grammar")
            return [], checked_grammar(work).encode()
    prompts = ids_of(maker, work, entered)
    return [len(ids) for ids in prompts], b"".join([array(ID, ids).tobytes() for ids in prompts])


def ids_of(
    maker: PromptMaker, work: PromptWork, entered: Callable[[str], None]
) -> Sequence[Sequence[int]]:
    if isinstance(work, ChatWork):
        return [maker.chat_ids(work, entered)]
    return maker.text_ids(work, entered)


def failure(kind: str, message: str = "", param: str | None = None) -> Answer:
    return Answer([], [], kind, message[:LONGEST_MESSAGE], param, b"")
