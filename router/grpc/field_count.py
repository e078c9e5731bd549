"""How many fields a message has, before any is made: protobuf takes a second for millions of them,
and the event loop can do nothing else meanwhile.

https://protobuf.dev/programming-guides/encoding: each field is a tag, which says how long it is,
and its value; a message within a message is bytes.
"""

from functools import cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

MOST_FIELDS = 1 << 16
"""In one message, those of messages within it counted; the values of a packed field are one."""
LEAST_BYTES = 2
"""Of a field."""
LONGEST_VARINT = 10
LARGEST_BYTE = 0x7F
"""Of numbers in one byte, which are read in place: a call for each would take most of the time."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}
"""Bytes of values that all have the same. The marks of groups, which nobody has, have none."""


class Damaged(ValueError):
    """These bytes are no message from here on."""


def check_fields(raw: bytes, kind: Descriptor) -> None:
    """Raises DecodeError for a message of this kind that has too many fields."""
    if len(raw) > LEAST_BYTES * MOST_FIELDS and fields_in(raw, kind) > MOST_FIELDS:
        raise DecodeError(
            f"a message may have {MOST_FIELDS} fields, those of messages within it counted, this "
            f"one of {len(raw)} bytes has more"
        )


def fields_in(raw: bytes, kind: Descriptor, most: int = MOST_FIELDS) -> int:
    """The number of fields of a message, up to where it is damaged; just more than `most` where
    there are more."""
    count, left = 0, [(0, len(raw), kind)]
    try:
        while left:
            at, end, of = left.pop()
            within = messages_in(of)
            while at < end:
                if (count := count + 1) > most:
                    return count
                tag, at = raw[at], at + 1
                if tag > LARGEST_BYTE:
                    tag, at = varint(raw, at - 1)
                wire = tag & 7
                if wire == BYTES:
                    size, at = raw[at], at + 1
                    if size > LARGEST_BYTE:
                        size, at = varint(raw, at - 1)
                    if size and (inner := within.get(tag >> 3)) is not None:
                        left.append((at, min(end, at + size), inner))
                    at += size
                elif wire == VARINT:
                    at = at + 1 if raw[at] <= LARGEST_BYTE else varint(raw, at)[1]
                else:
                    at += SIZES.get(wire, 0)
    except (Damaged, IndexError):
        pass
    return count


@cache
def messages_in(kind: Descriptor) -> dict[int, Descriptor]:
    """The fields that are messages, by number."""
    return {one.number: one.message_type for one in kind.fields if one.message_type is not None}


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends. Raises Damaged."""
    value = 0
    for i, byte in enumerate(raw[at : at + LONGEST_VARINT]):
        value |= (byte & LARGEST_BYTE) << (7 * i)
        if byte <= LARGEST_BYTE:
            return value, at + i + 1
    raise Damaged
