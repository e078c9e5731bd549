"""The input of a batch, line by line, and what a line must be."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai.batches.batch import BatchError, BatchLine
from raylax.proto.openai.body import MOST_VALUES, OF_A_CONTAINER, invalid, values_in

MOST_LINES = 50_000
"""As OpenAI has it."""
MOST_ERRORS = 100
"""Further ones are not looked for."""
ENVELOPE_BYTES = 8 << 10
"""What a line may have beside its body."""
SPACE = b" \t\r\n"
BOM = b"\xef\xbb\xbf"


class NumberedLine(NamedTuple):
    """Numbers are from 1, and count empty lines, too, which ask for nothing."""

    number: int
    raw: bytes


class ReadLine(NamedTuple):
    """What one line asks for."""

    number: int
    custom_id: str
    body: bytes
    """In JSON."""


class Checked(NamedTuple):
    """What an input has come to."""

    lines: int
    errors: list[BatchError]


def lines_of(file: BinaryIO, longest: int) -> Iterator[NumberedLine]:
    """Those that are not empty. One that is longer than `longest` bytes is cut, and is the last."""
    number = 0
    while raw := file.readline(longest + 1):
        number += 1
        if line := raw.removeprefix(BOM if number == 1 else b"").strip(SPACE):
            yield NumberedLine(number, line)
        if len(raw) > longest:
            return


def check_input(
    path: Path, endpoint: str, most_body_bytes: int, stopped: Callable[[], bool]
) -> Checked:
    """Looks at all of a batch's lines, but not into their bodies. Returns early where it is
    `stopped`."""
    errors: list[BatchError] = []
    seen: set[bytes] = set()
    count, longest = 0, most_body_bytes + ENVELOPE_BYTES
    with path.open("rb") as file:
        for line in lines_of(file, longest):
            count += 1
            if stopped() or len(errors) >= MOST_ERRORS:
                break
            if count > MOST_LINES:
                said = f"a batch may have {MOST_LINES} lines, this one has more"
                errors.append(BatchError(code="too_many_lines", message=said))
                break
            if (error := error_in(line, endpoint, longest, seen)) is not None:
                errors.append(error)
    if not count:
        said = "the file has no line; a batch needs one at least"
        errors.append(BatchError(code="empty_file", message=said))
    return Checked(count, errors)


def error_in(
    line: NumberedLine, endpoint: str, longest: int, seen: set[bytes]
) -> BatchError | None:
    """What is wrong with a line; None: nothing. `seen`: of each id that others have a digest."""

    def wrong(code: str, message: str, param: str | None = None) -> BatchError:
        return BatchError(code=code, message=message, line=line.number, param=param)

    if len(line.raw) > longest:
        return wrong("line_too_long", f"a line may have {longest} bytes, this one has more")
    try:
        parsed = parse_line(line.raw)
    except InvalidRequest as error:
        code = "invalid_request" if error.param else "invalid_json_line"
        return wrong(code, error.message.replace("the body", "the line", 1), error.param)
    if parsed.url != endpoint:
        said = f"url: must be the batch's endpoint, {endpoint}, found {shown(parsed.url)}"
        return wrong("mismatched_endpoint", said, "url")
    digest = blake2b(parsed.custom_id.encode(), digest_size=16).digest()
    if digest in seen:
        said = f"custom_id: must be its own, {shown(parsed.custom_id)} is that of another line"
        return wrong("duplicate_custom_id", said, "custom_id")
    seen.add(digest)
    return None


def parse_line(raw: bytes) -> BatchLine:
    """Raises InvalidRequest."""
    if (values := values_in(raw)) > MOST_VALUES:
        raise InvalidRequest(
            f"a line may have {MOST_VALUES} values, of which a list or an object counts as "
            f"{OF_A_CONTAINER}; it has up to {values}",
            param="body",
        )
    try:
        return BatchLine.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None


def read_line(line: NumberedLine) -> ReadLine:
    """A line that was found to be right."""
    parsed = parse_line(line.raw)
    return ReadLine(line.number, parsed.custom_id, to_json(parsed.body))
