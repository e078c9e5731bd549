"""Names of files and batches: in order of their making, and nothing but letters and digits, so that
a client's word is no path."""

import re
import secrets
import time
from hashlib import sha256
from typing import Literal

from raylax.proto.errors import NotFound, shown

Kind = Literal["file", "batch"]
PREFIXES: dict[Kind, str] = {"file": "file-", "batch": "batch_"}
NAME = {kind: re.compile(rf"{prefix}[0-9a-f]{{32}}") for kind, prefix in PREFIXES.items()}


def new_name(kind: Kind) -> str:
    """One that sorts behind those that were made before."""
    return f"{PREFIXES[kind]}{time.time_ns():016x}{secrets.token_hex(8)}"


def is_name(kind: Kind, given: str) -> bool:
    return NAME[kind].fullmatch(given) is not None


def unknown(kind: Kind, given: str) -> NotFound:
    """There is none of this name, or it is somebody else's."""
    why = "it is not yours, or has expired"
    return NotFound(f"no {kind} {shown(given)} is here: {why}", param="id")


def folder_of(tenant: str) -> str:
    """The name of a tenant's part of the directory."""
    return sha256(tenant.encode()).hexdigest()[:32]
