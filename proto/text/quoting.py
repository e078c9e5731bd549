"""Control tokens' texts in what clients write: there they are text, and end no turn.

A template puts the strings of clients and its own control tokens into one text, in which they
cannot be told apart. So where a client's string has the text of a special token, or a piece of one
that could be completed by what comes beside it, that place is put between two marks before the
template sees it; afterwards the marks are taken out, and say which places were the client's. Marks
are letters for private use that the request does not have. Strings without such places, which are
nearly all, are left as they are, so a template can look at them.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from raylax.proto.errors import InvalidRequest

PRIVATE = range(0xE000, 0xF900)
ESCAPED = re.compile(r"\\u([ef][0-9a-f]{3})")
WINDOW = 1 << 16
LONGEST_MARK = len(r"\ue000")
Span = tuple[int, int]


class Prompt(NamedTuple):
    """A rendered prompt, and where in it clients wrote what could be taken for control tokens."""

    text: str
    quoted: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Marks:
    """Two letters around each place, and the texts that were put between them."""

    open: str
    close: str
    texts: frozenset[str]

    def taken_out(self, rendered: str) -> Prompt:
        """The prompt without them. Marks that have lost their partner, since a template has cut a
        text, say nothing."""
        opens, closes = ({one, escaped(one)} for one in (self.open, self.close))
        marks = re.compile("|".join(map(re.escape, (*opens, *closes))))
        pieces, spans, opened = [], [], False
        at = length = 0  # in the text with marks, and without
        for match in matches(marks, rendered, LONGEST_MARK):
            piece = rendered[at : match.start()]
            if opened and match[0] in closes and piece in self.texts:
                spans.append((length, length + len(piece)))
            pieces.append(piece)
            at, length, opened = match.end(), length + len(piece), match[0] in opens
        return Prompt("".join([*pieces, rendered[at:]]), tuple(spans))


class SpecialTexts:
    """The texts of a tokenizer's special tokens, looked for in strings.

    `normalized`: those that are found in the normalised text, and what normalises it.
    """

    def __init__(
        self,
        texts: Iterable[str],
        normalized: Iterable[str] = (),
        normalize: Callable[[str], str] | None = None,
    ) -> None:
        known = sorted({text for text in texts if text.strip() and not is_word(text)})
        self._whole = pattern_of(known)
        cuts = [(text, at) for text in known for at in range(1, len(text))]
        self._beginnings = {text[:at] for text, at in cuts if not is_word(text[:at])}
        self._endings = {text[at:] for text, at in cuts if not is_word(text[at:])}
        self._insides = "\0".join(known)
        self._longest = max(map(len, known), default=0)
        self._normalize = normalize
        changed = sorted({normalize(text) for text in normalized}) if normalize else ()
        self._whole_normalized = pattern_of([text for text in changed if text.strip()])

    def places(self, text: str) -> list[Span]:
        """Where a string has such a text, or begins or ends with a part of one, without overlaps.
        White space around it is left out, since templates trim."""
        found: list[Span] = []
        if self._whole is not None:
            found = [match.span() for match in matches(self._whole, text, self._longest)]
        begin = len(text) - len(text.lstrip())
        end = len(text.rstrip())
        if begin >= end:
            return found
        longest = min(self._longest, end - begin)
        if self._is_special_normalized(text):
            return [(begin, end)]
        for size in range(longest, 0, -1):
            if text[begin : begin + size] in self._endings:
                found.append((begin, begin + size))
                break
        for size in range(longest, 0, -1):
            if text[end - size : end] in self._beginnings:
                found.append((end - size, end))
                break
        stripped = text[begin:end] if end - begin < self._longest else ""
        if stripped and not is_word(stripped) and stripped in self._insides:
            found.append((begin, end))
        return merged(found)

    def _is_special_normalized(self, text: str) -> bool:
        """Whether such a text comes out when the tokenizer normalises this one."""
        if self._normalize is None or self._whole_normalized is None:
            return False
        return self._whole_normalized.search(self._normalize(text)) is not None

    def quoted(self, *given: Any, avoid: str = "") -> tuple[tuple[Any, ...], Marks | None]:
        """The same values, with marks around such places in any string in them; None: there are
        none. `avoid`: what else the marks must not be in."""
        places = {text: found for text in strings_in(given) if (found := self.places(text))}
        if not places:
            return given, None
        everything = "\0".join([*strings_in(given), avoid])
        open, close = unused_letters(everything)
        inside = {text[begin:end] for text, found in places.items() for begin, end in found}
        texts = {form for one in inside for form in (one, in_json(one, True), in_json(one, False))}

        def mark(text: str) -> str:
            pieces, at = [], 0
            for begin, end in places.get(text, ()):
                pieces += [text[at:begin], open, text[begin:end], close]
                at = end
            return "".join([*pieces, text[at:]]) if pieces else text

        try:
            return mapped(given, mark), Marks(open, close, frozenset(texts))
        except RecursionError:
            raise InvalidRequest(
                "messages: values with the text of a special token may be nested some 400 deep, "
                "these are deeper",
                param="messages",
            ) from None


def matches(pattern: re.Pattern[str], text: str, longest: int) -> Iterator[re.Match[str]]:
    """As `finditer` of a pattern whose matches have at most so many letters. It looks at a piece at
    a time, between which other threads run: a search holds them up."""
    at = 0
    while at < len(text):
        end = at + WINDOW
        for match in pattern.finditer(text, at, end + longest):
            if match.start() >= end:
                break
            yield match
            at = match.end()
        at = max(at, end)


def pattern_of(texts: list[str]) -> re.Pattern[str] | None:
    """Finds any of these sorted texts, the longest at a place: linear, however many there are."""
    return re.compile(alternatives(texts, 0)) if texts else None


def alternatives(texts: list[str], depth: int) -> str:
    """What may follow the first `depth` letters, which these sorted texts share."""
    optional = len(texts[0]) == depth
    texts = texts[1:] if optional else texts
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[depth], []).append(text)
    branches = []
    for group in groups.values():
        shared = shared_length(group[0], group[-1])
        rest = alternatives(group, shared)
        branches.append(re.escape(group[0][depth:shared]) + rest)
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + "?" * optional


def shared_length(one: str, other: str) -> int:
    """Letters that two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def is_word(text: str) -> bool:
    """Letters, digits and low lines only: names of fields are such, and no part of a control token
    that a template could not do without."""
    return text.replace("_", "").isalnum()


def merged(spans: list[Span]) -> list[Span]:
    """The same places in order, overlapping ones as one."""
    out: list[Span] = []
    for begin, end in sorted(spans):
        if out and begin < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((begin, end))
    return out


def strings_in(value: Any) -> Iterator[str]:
    """All strings of a JSON value, keys included."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case list() | tuple() as items:
                waiting.extend(items)
            case dict() as entries:
                waiting.extend(entries.keys())
                waiting.extend(entries.values())


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The JSON value with every string changed, keys included."""
    match value:
        case str(text):
            return change(text)
        case list() | tuple():
            return type(value)([mapped(one, change) for one in value])
        case Mapping():
            return {mapped(name, change): mapped(one, change) for name, one in value.items()}
    return value


def unused_letters(text: str) -> tuple[str, str]:
    """Two letters for private use that a text has neither as they are nor escaped."""
    taken = {chr(int(match[1], 16)) for match in matches(ESCAPED, text, LONGEST_MARK)}
    for at in range(0, len(text), WINDOW):
        taken.update(text[at : at + WINDOW])
    free = [letter for letter in map(chr, PRIVATE) if letter not in taken][:2]
    if len(free) < 2:
        raise InvalidRequest(
            "messages: may not have all 6400 characters for private use together with the text of "
            "a special token, of which they are to be told apart",
            param="messages",
        )
    return free[0], free[1]


def in_json(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}"
