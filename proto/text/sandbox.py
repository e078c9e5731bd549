"""Where chat templates run: Jinja's sandbox with what transformers has in it, within bounds.

A template is a program of the checkpoint's author, over what any client sends. So nothing that it
does may hold the router up: its time, its output and what it multiplies are bounded, as far as
Jinja's hooks reach.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_format
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_CHARACTERS = 8 << 20
"""Of a prompt, and of any text or list that a template makes by an operator."""
MOST_BITS = 4096
"""Of a power."""
LONGEST_RENDERING_S = 10.0
NESTED = re.compile(r"{[^}]*{")
SIZED = ("batch", "center", "indent", "slice", "wordwrap")
"""Filters whose numbers are sizes of what they make."""


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers renders it: without the HTML escapes of Jinja's own filter."""
    if isinstance(indent, int):
        check_size(indent)
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class GenerationTag(Extension):
    """`{% generation %}` marks what a model is trained on: here it is its content."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller: Any) -> str:
        said: str = caller()
        return said


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """The environment of one template. Any number of threads may render in one."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
        )
        self.filters["tojson"] = to_json
        for name in SIZED:
            self.filters[name] = bounded(self.filters[name])
        self.filters["format"] = checked_format
        del self.globals["lipsum"]  # which makes as much text as it is asked for
        self.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
        self._rendering = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """A rendering on this thread, which may take so long."""
        self._rendering.ends = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._rendering.ends

    def check_time(self) -> None:
        """Raises SecurityError when the rendering on this thread takes too long."""
        ends = getattr(self._rendering, "ends", None)
        if ends is not None and time.monotonic() > ends:
            raise SecurityError(f"it may take {LONGEST_RENDERING_S:g} s, it takes longer")

    def getattr(self, obj: Any, attribute: str) -> Any:
        self.check_time()
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        self.check_time()
        return super().getitem(obj, argument)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.check_time()
        if isinstance(getattr(obj, "__self__", None), str | int):
            check_size(*args, *kwargs.values())
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Any:
        """`str.format`, within the sandbox and within bounds."""
        formats = super().wrap_str_format(value)
        if formats is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            check_format(value.__self__)
            if NESTED.search(value.__self__):  # a width may be among the arguments
                check_size(*args, *kwargs.values())
            said: str = formats(*args, **kwargs)
            return said

        return checked

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.check_time()
        match operator:
            case "*":
                check_size(length_of(left) * times(right), length_of(right) * times(left))
            case "+":
                check_size(length_of(left) + length_of(right))
            case "**" if isinstance(left, int) and isinstance(right, int):
                if left.bit_length() * abs(right) > MOST_BITS:
                    raise SecurityError(f"a power may have {MOST_BITS} bits, it has more")
            case "%" if isinstance(left, str):
                check_format(left)
        return super().call_binop(context, operator, left, right)


def length_of(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def times(value: Any) -> int:
    return max(value, 0) if isinstance(value, int) else 0


def check_size(*sizes: Any) -> None:
    """Raises SecurityError for what would be larger than any prompt."""
    for size in sizes:
        if isinstance(size, int) and size > MOST_CHARACTERS:
            raise SecurityError(f"a text may have {MOST_CHARACTERS} characters, it asks for {size}")


def check_format(form: str) -> None:
    """Raises SecurityError for a format with a width beyond any need."""
    digits = "".join(letter if letter.isdecimal() else " " for letter in form)
    if "*" in form or any(len(number) > 4 for number in digits.split()):
        raise SecurityError("a format may be 9999 characters wide, it asks for more")


def checked_format(form: Any, *args: Any, **kwargs: Any) -> str:
    """The filter `format`, within bounds."""
    check_format(str(form))
    return do_format(form, *args, **kwargs)


def bounded(function: Any) -> Any:
    """A filter whose numbers are sizes."""

    def checked(*args: Any, **kwargs: Any) -> Any:
        check_size(*args, *kwargs.values())
        return function(*args, **kwargs)

    return checked
