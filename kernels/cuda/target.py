"""GPUs by the names of their machine code: which there are, and what is compiled for them."""

from dataclasses import dataclass

from raylax.kernels.errors import CompileError


@dataclass(frozen=True, slots=True)
class GPU:
    """A compilation target. Machine code runs on chips of its major version, from its minor on."""

    name: str
    """The chip as ptxas names it: sm_90."""
    chips: str

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability, (major, minor), that its machine code is for."""
        return divmod(int(self.name.removeprefix("sm_")), 10)

    def runs_on(self, capability: tuple[int, int]) -> bool:
        """Whether a chip of this compute capability runs its machine code."""
        major, minor = self.capability
        return capability[0] == major and capability[1] >= minor


KNOWN = (
    GPU("sm_80", "A100, A10, RTX 30"),
    GPU("sm_89", "L4, L40S, RTX 40"),
    GPU("sm_90", "H100, H200"),
    GPU("sm_100", "B200, B300"),
)
DTYPES = {"q0f16": "float16", "q0bf16": "bfloat16", "q0f32": "float32"}
"""What weights, keys and values, and the inputs of products are kept as; sums are f32."""
KV_DTYPES = {"q0f16": "f16", "q0bf16": "bf16", "q0f32": "f32"}


def gpu(name: str) -> GPU:
    """A target by its name. Raises CompileError for one that is not known."""
    for one in KNOWN:
        if one.name == name:
            return one
    listed = ", ".join(f"cuda/{one.name} ({one.chips})" for one in KNOWN)
    raise CompileError(f"target cuda/{name} is not known; known are {listed}")


def gpu_for(capability: tuple[int, int]) -> GPU:
    """The target of a chip. Raises CompileError where there is none."""
    fit = [one for one in KNOWN if one.runs_on(capability)]
    if not fit:
        listed = ", ".join(one.name for one in KNOWN)
        raise CompileError(
            f"this GPU has compute capability {capability[0]}.{capability[1]}, which runs none "
            f"of {listed}"
        )
    return fit[-1]


def quantization_of(name: str, checkpoint_dtype: str) -> str:
    """`auto` keeps the checkpoint's own precision. Raises CompileError for a format that has no
    kernels here."""
    own = {"float32": "q0f32", "float16": "q0f16"}.get(checkpoint_dtype, "q0bf16")
    chosen = own if name == "auto" else name
    if chosen not in DTYPES:
        known = f"there are auto, {', '.join(DTYPES)}"
        raise CompileError(unsupported(f"quantization {name!r} is not there on CUDA; {known}"))
    return chosen


def check_kv_dtype(name: str, quantization: str) -> None:
    """Raises CompileError for keys and values of another precision than the weights."""
    if name not in ("auto", own := KV_DTYPES[quantization]):
        rule = f"kv_dtype on CUDA must be auto or {own}, that of {quantization}"
        raise CompileError(unsupported(f"{rule}; found {name!r}"))


def unsupported(what: str) -> str:
    """What is said of something that only the kernels for CPUs have."""
    return f"{what}; the CPU has it: --device cpu"
