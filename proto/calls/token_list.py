"""Writes a prompt's tokens as the JSON of /tokenize: in pieces, since there may be millions."""

import json
from collections.abc import Callable, Sequence

from raylax.proto.errors import InvalidRequest
from raylax.proto.text.tokenizer import Tokenizer

PIECE = 1 << 14


def token_list(
    tokenizer: Tokenizer, ids: Sequence[int], max_model_len: int, names: bool, most_bytes: int
) -> bytes:
    """The JSON of a `TokenizeResponse`. Raises InvalidRequest for one of more bytes."""
    out = bytearray(b'{"count":%d,"max_model_len":%d,"tokens":[' % (len(ids), max_model_len))
    write_items(out, ids, lambda piece: piece, most_bytes)
    if names:
        out += b'],"token_strs":['
        write_items(out, ids, lambda piece: [*map(tokenizer.name_of, piece)], most_bytes)
        out += b"]}"
    else:
        out += b'],"token_strs":null}'
    return bytes(out)


def write_items(
    out: bytearray,
    ids: Sequence[int],
    shown: Callable[[Sequence[int]], Sequence[int] | list[str]],
    most_bytes: int,
) -> None:
    """Append what is shown of the ids, without the brackets around it."""
    for at in range(0, len(ids), PIECE):
        written = json.dumps(
            list(shown(ids[at : at + PIECE])), ensure_ascii=False, separators=(",", ":")
        )
        out += b"," * bool(at) + written[1:-1].encode()
        if len(out) > most_bytes:
            raise InvalidRequest(
                f"an answer of /tokenize may have {most_bytes} bytes, that of these {len(ids)} "
                "tokens has more; ask for a part of the prompt",
                param="prompt",
            )
