"""What comes from elsewhere, a model's words above all, as a terminal may show it."""

from rich.text import Text


def printable(text: str) -> str:
    """Without the characters by which a text could command a terminal: of control characters only
    tab and the end of a line are left, and halves of a surrogate pair are replaced."""
    kept = "".join(c for c in text if c in "\t\n" or not is_control(c))
    return kept.encode("utf-8", "replace").decode()


def is_control(character: str) -> bool:
    """One of C0 and C1, or DEL."""
    return character < " " or "\x7f" <= character <= "\x9f"


def cell(said: str, style: str = "") -> Text:
    """The same for tables; rich's markup is no markup there."""
    return Text(printable(said), style=style)
