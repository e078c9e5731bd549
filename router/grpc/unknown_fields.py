"""Fields of a request that its .proto file has not: of a newer client, or of another program.

Nobody reads them, so they are taken out, and the client is told by what numbers they went.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from raylax.router.grpc.field_count import check_fields

Request = TypeVar("Request", bound=Message)
NAMED_BYTES = 4 << 10
"""Of more bytes of unknown fields it is not said which ones they are: naming takes time."""
MOST_MESSAGES = 2048
"""Messages inside of a request in which unknown fields are looked for by their numbers."""


class Decoded(NamedTuple):
    """A request without what nobody knows, and what is to be said of that."""

    request: Message
    unknown: list["UnknownField"]


class UnknownField(NamedTuple):
    """Where it was, with its number, and what is said of it."""

    at: str | None
    said: str


def decoded(decode: Callable[[bytes], Request], raw: bytes) -> Decoded:
    """Raises DecodeError, also for more fields than are bearable. `decode`: a message's own
    `FromString`."""
    check_fields(raw, decode.__self__.DESCRIPTOR)  # type: ignore[attr-defined]
    request = decode(raw)
    size = request.ByteSize()
    request.DiscardUnknownFields()
    if not (lost := size - request.ByteSize()):
        return Decoded(request, [])
    return Decoded(request, unknown_in(decode(raw), lost))


def unknown_in(request: Message, size: int) -> list[UnknownField]:
    """What is said of the unknown fields of a request, which are so many bytes."""
    found = dict.fromkeys(numbers_in(request)) if size <= NAMED_BYTES else {}
    name = request.DESCRIPTOR.full_name
    if not found:
        return [UnknownField(None, f"{size} bytes are unknown fields of {name}")]
    return [UnknownField(at, f"{at}: unknown field of {name}, by its number") for at in found]


def numbers_in(request: Message) -> Iterator[str]:
    """The unknown fields by the names of the fields that they are in, and their numbers."""
    left: list[tuple[str, Message]] = [("", request)]
    for _ in range(MOST_MESSAGES):
        if not left:
            return
        path, message = left.pop()
        unknown = UnknownFieldSet(message)
        yield from (f"{path}{unknown[i].field_number}" for i in range(len(unknown)))
        for field, value in message.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            inner = value[:MOST_MESSAGES] if field.is_repeated else [value]
            left += ((f"{path}{field.name}.", one) for one in inner)
