"""A talk with a model: at a terminal, or with questions that come from a pipe."""

import re
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from raylax.cluster.address import TIMEOUT_S, client_of
from raylax.cluster.cli.answers import answer, models_at
from raylax.cluster.cli.printing import printable
from raylax.cluster.cli.questions import Questions
from raylax.cluster.errors import UserError

COMMAND = re.compile(r"/([a-z]*)(?:\s+(.*))?$", re.DOTALL)
HELP = """\
/help           this
/clear          forget what was said; the system message stays
/system [TEXT]  begin anew with this system message; without a text, with none
/model [NAME]   ask this model from now on; without a name, say which there are
/exit           leave, as Ctrl-D does
Enter asks; Alt-Enter begins another line; pasted lines are one question. Ctrl-C ends an answer.
Begin with a space what begins with / and is no command."""


@dataclass
class Talk:
    """What was said so far, and to whom. One thread."""

    url: str
    models: list[str]
    model: str
    system: str | None
    temperature: float | None
    said: list[dict[str, str]] = field(default_factory=list)

    def body(self, question: str) -> dict[str, Any]:
        """The request that asks it."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        messages = [*system, *self.said, {"role": "user", "content": question}]
        settings = {} if self.temperature is None else {"temperature": self.temperature}
        return {"model": self.model, "messages": messages, "stream": True, **settings}


def talk(
    url: str,
    questions: Questions,
    console: Console,
    *,
    system: str | None = None,
    temperature: float | None = None,
    model: str | None = None,
    by_hand: bool = True,
) -> None:
    """Answers questions until there are no more. Raises UserError when nobody serves there, or
    not that model; and, unless somebody asks `by_hand`, when there is no answer."""
    models = models_at(url)
    now = Talk(url, models, chosen(model or models[0], models), system, temperature)
    if by_hand or (model is None and len(models) > 1):
        greet(now, model, console if by_hand else Console(stderr=True))
    # No limit for an answer, which may be long in coming: Ctrl-C ends it.
    with client_of(url, httpx.Timeout(None, connect=TIMEOUT_S)) as client:
        while True:
            try:
                question = questions()
                if question is None or not turn(now, question, client, console):
                    return
            except KeyboardInterrupt:
                console.print()
                if not by_hand:
                    raise
            except UserError as error:
                if not by_hand:
                    raise
                console.print(Text(printable(str(error)), style="red"), soft_wrap=True)


def chosen(model: str, models: list[str]) -> str:
    """Raises UserError for a model that is not there."""
    if model not in models:
        raise UserError(f"no model named {model}; there is {', '.join(models)}")
    return model


def greet(now: Talk, asked: str | None, console: Console) -> None:
    """Says who answers, and who else would if that was left open."""
    said = f"talking to {now.model}; /help says what can be typed, Ctrl-D ends"
    console.print(Text(printable(said)), soft_wrap=True)
    if asked is None and len(now.models) > 1:
        others = f"there is {', '.join(now.models)}: --model or /model chooses"
        console.print(Text(printable(others)), soft_wrap=True)


def turn(now: Talk, question: str, client: httpx.Client, console: Console) -> bool:
    """Do what was typed; whether the talk goes on. Raises UserError."""
    if command := COMMAND.match(question):
        return obey(now, command[1], (command[2] or "").strip(), console)
    if question := question.encode("utf-8", "replace").decode().strip():
        say(now, question, client, console)
    return True


def obey(now: Talk, command: str, rest: str, console: Console) -> bool:
    """Do what a line with a slash wants; whether the talk goes on. Raises UserError."""
    match command:
        case "exit" | "quit" | "bye":
            return False
        case "help" | "":
            console.out(HELP, highlight=False)
        case "clear":
            now.said.clear()
        case "system":
            now.system = rest or None
            now.said.clear()
        case "model" if rest:
            now.model = chosen(rest, now.models)
        case "model":
            console.out(printable(f"{now.model}, of {', '.join(now.models)}"), highlight=False)
        case _:
            raise UserError(f"no command /{command}; /help says which there are")
    return True


def say(now: Talk, question: str, client: httpx.Client, console: Console) -> None:
    """Print the answer as it comes; what was said is kept after Ctrl-C, too. Raises UserError."""
    pieces: list[str] = []
    try:
        with closing(answer(client, now.url, now.body(question))) as coming:
            for text in coming:
                pieces.append(text)
                console.out(printable(text), end="", highlight=False)
    except KeyboardInterrupt:
        pass
    finally:
        if whole := "".join(pieces):
            asked, answered = ("user", question), ("assistant", whole)
            now.said += [{"role": r, "content": c} for r, c in (asked, answered)]
            console.print()
