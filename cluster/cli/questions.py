"""Where questions come from: a line editor at a terminal, else the lines of the input."""

import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # the editor alone needs it, and it takes its time
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

Questions = Callable[[], str | None]
"""The next question; None at the end. KeyboardInterrupt after Ctrl-C."""


def questions_of(input: IO[str]) -> Questions:
    """Of an editor if it is a terminal."""
    return editor() if input.isatty() else lines(input)


def lines(input: IO[str]) -> Questions:
    """A question for each line; what is not UTF-8 in it is replaced."""
    if hasattr(input, "reconfigure"):
        input.reconfigure(errors="replace")

    def read() -> str | None:
        line = input.readline()
        return line.removesuffix("\n") if line else None

    return read


def editor(input: "Input | None" = None, output: "Output | None" = None) -> Questions:
    """Edits lines, and knows those before, for as long as the talk lasts: nothing is written to a
    file. Enter asks, Alt-Enter begins a line, and pasted lines are one question. Tests type and
    look elsewhere than at the terminal."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import create_output

    keys = KeyBindings()

    @keys.add("enter")
    def ask(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def begin_a_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    session: PromptSession[str] = PromptSession(
        history=InMemoryHistory(),
        multiline=True,
        key_bindings=keys,
        input=input,
        output=output or create_output(sys.stdout, always_prefer_tty=True),
    )

    def read() -> str | None:
        try:
            return session.prompt("> ", prompt_continuation="  ")
        except EOFError:
            return None

    return read
