"""A compiled step as files: the library, and beside it what it was made for."""

import json
from pathlib import Path
from typing import NamedTuple, Self

from raylax.kernels.errors import CompileError
from raylax.kernels.options import LIBRARY

MADE_FOR = "library.json"


class MadeFor(NamedTuple):
    """What a library is compiled from."""

    key: str
    """Of all of it, as the store has it."""
    text: str
    """The same, as far as people want to know it."""

    def write(self, directory: Path) -> None:
        """Put it beside the library that lies there."""
        (directory / MADE_FOR).write_text(json.dumps(self._asdict()))

    @classmethod
    def read(cls, directory: Path) -> Self:
        """What the library was made for that lies there. Raises CompileError."""
        try:
            found = json.loads((directory / MADE_FOR).read_text())
            return cls(str(found["key"]), str(found["text"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CompileError(
                f"model_lib {directory}: its {MADE_FOR}, which says what it was made for, cannot "
                f"be read ({type(error).__name__}); give what `raylax compile` made, as a whole"
            ) from None


def given_library(given: Path, wanted: MadeFor) -> Path:
    """The library that a user names, by its file or by the directory that it lies in, wherever
    that is. Raises CompileError for one of another model, and for what is none."""
    file = given / LIBRARY if given.is_dir() else given
    if not file.is_file():
        raise CompileError(f"model_lib {given}: there is no library, {file} is missing")
    if (found := MadeFor.read(file.parent)).key != wanted.key:
        raise CompileError(
            f"model_lib {given} was made for {found.text}; this model needs one for {wanted.text}; "
            "leave it out, and it is compiled"
        )
    return file
