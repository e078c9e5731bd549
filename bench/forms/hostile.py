"""Forms that cost as much as the limits of grammars let them, each another one each time, so that
none is kept from the last one."""

from collections.abc import Callable
from itertools import count

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.writing import grammar_of

NUMBERS = count()


def ambiguous() -> str:
    """A text that can be read in more ways than it has letters: of each the parser keeps a note."""
    wish = f'start: s "{next(NUMBERS)}"\ns: /[a-z ]/ | s s | s s s'
    return grammar_of(Constraint("grammar", wish, "grammar"))


def many_states() -> str:
    """An expression whose automaton doubles with each letter that it looks back."""
    wish = f"(.*[ae].{{12}}|.*[io].{{13}}){next(NUMBERS)}"
    return grammar_of(Constraint("regex", wish, "regex"))


def many_names() -> str:
    """A schema of 100 kB, whose names are long and alike."""
    number = next(NUMBERS)
    names = {f"{'name ' * 6}{number} {i}": {"type": "number"} for i in range(1500)}
    wish = {"type": "object", "properties": names, "additionalProperties": False}
    return grammar_of(Constraint("json_schema", wish, "schema"))


def many_choices() -> str:
    """Four thousand texts, of which none is a beginning of another."""
    number = next(NUMBERS)
    wish = [f"{i * 7919 % 4096:04d} of {number}" for i in range(4096)]
    return grammar_of(Constraint("choice", wish, "choice"))


HOSTILE: dict[str, Callable[[], str]] = {
    "ambiguous": ambiguous,
    "many states": many_states,
    "many names": many_names,
    "many choices": many_choices,
}
