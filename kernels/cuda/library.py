"""What lies beside a compiled library: what it was made from, as far as running it goes."""

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from raylax.kernels.errors import CompileError
from raylax.kernels.options import LIBRARY
from raylax.kernels.spec import DecoderSpec

FACTS = "step.json"


def host() -> str:
    """What has to be the same where a library is compiled and where it runs."""
    return f"{platform.machine()}, apache-tvm {version('apache-tvm')}"


@dataclass(frozen=True)
class Facts:
    """What is known of one library without loading it."""

    target: str
    """What it was compiled for, for instance cuda/sm_90."""
    quantization: str
    spec: dict[str, Any]
    parameters: tuple[tuple[str, tuple[int, ...], str], ...]
    """(name, shape, dtype) of each weight, in the order in which the step is given them."""
    host: str
    """What runs the part that is not on the GPU."""

    def write(self, directory: Path) -> None:
        """Into the directory of the library."""
        (directory / FACTS).write_text(json.dumps(asdict(self)))

    @classmethod
    def beside(cls, library: Path) -> Self:
        """The facts of a library. Raises CompileError for a path that is no library of ours."""
        path = library.with_name(FACTS)
        try:
            facts = json.loads(path.read_text())
            parameters = tuple((n, tuple(shape), d) for n, shape, d in facts.pop("parameters"))
            made = cls(**facts, parameters=parameters)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CompileError(
                f"model_lib must be the {LIBRARY} that `raylax compile --target` wrote, with its "
                f"{FACTS} beside it; found {library}: {error}"
            ) from None
        if not library.exists():
            raise CompileError(f"model_lib {library}: no such file")
        return made

    def check(self, library: Path, spec: DecoderSpec, quantization: str) -> None:
        """Raises CompileError for a library of another model, format or host."""
        for name, value in asdict(spec).items():
            if (own := self.spec.get(name)) != value:
                raise CompileError(
                    f"{library} was compiled for another model: {name} is {own} there, and "
                    f"{value} in this checkpoint"
                )
        if quantization not in ("auto", self.quantization):
            raise CompileError(
                f"{library} was compiled for quantization {self.quantization}, found {quantization}"
            )
        if self.host != host():
            raise CompileError(f"{library} runs on {self.host}; this is {host()}")
