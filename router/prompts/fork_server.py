"""Loads a router's models once, and forks processes that make prompts: each is ready in
milliseconds, and shares all that was loaded.

Run as a module with a socket's number, the models as JSON and the memory that a process may have
more. It says that it is ready, or why not; then each message with two descriptors (the process's
connection, and what it shares with the router) makes a process, whose pid is the answer, and a
message with a pid ends that one. A process that has ended keeps its pid until then, so that it is
nobody else's. It ends with its router, and all processes with it.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from mmap import mmap
from pathlib import Path

from raylax.proto.calls.prompt_maker import PromptMaker
from raylax.proto.text.files import TextFiles
from raylax.router.prompts.process import (
    SHARED_BYTES,
    answer_questions,
    end_with_parent,
    limit_memory,
)

READY = b"ready"
LONGEST_MESSAGE = 8192
MOST_LOADED_BYTES = 8 << 30
"""Of all models' tokenizers and templates."""


def main(arguments: list[str]) -> None:
    """Until the router closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everybody
    control = socket.socket(fileno=int(arguments[0]))
    with suppress(ConnectionError):  # the router has left
        serve(control, json.loads(arguments[1]), int(arguments[2]))
    os._exit(0)


def serve(control: socket.socket, models: list[tuple[str, str]], memory_bytes: int) -> None:
    """Load the models, given by name and directory, and do what the router says."""
    try:
        makers = [loaded(name, directory) for name, directory in models]
    except BaseException as error:
        control.send(f"{type(error).__name__}: {error}".encode()[:LONGEST_MESSAGE])
        return
    gc.collect()
    gc.freeze()
    control.send(READY)
    children = set[int]()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, LONGEST_MESSAGE, 2)
        if not message:
            return
        if descriptors:
            pid = forked(control, descriptors, makers, memory_bytes)
            children.add(pid)
            control.send(str(pid).encode())
        else:
            end(int(message), children)


def loaded(name: str, directory: str) -> PromptMaker:
    """Raises OSError or ValueError for files that cannot be read."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_LOADED_BYTES, MOST_LOADED_BYTES))
    files = TextFiles(Path(directory))
    return PromptMaker(name, files.tokenizer(), files.chat_templates())


def forked(
    control: socket.socket, descriptors: list[int], makers: list[PromptMaker], memory_bytes: int
) -> int:
    """The pid of a new process, which answers questions."""
    parent, pid = os.getpid(), os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    try:
        end_with_parent(parent)
        control.close()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)  # what libraries say when they fail may be of a prompt
        limit_memory(memory_bytes)
        with socket.socket(fileno=descriptors[0]) as sock:
            answer_questions(sock, mmap(descriptors[1], SHARED_BYTES), makers)
    finally:
        os._exit(0)


def end(pid: int, children: set[int]) -> None:
    """Kill a child, and let go of it."""
    if pid in children:
        children.remove(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
