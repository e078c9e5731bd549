"""`opt`: the original's presets and flags of what a library is compiled to use, and what is here.

Our kernels are our own on every device: of the flags, those that name a vendor's library say what
is not used, whatever is asked for. One has an effect, `cudagraph`.
"""

from collections.abc import Mapping

SWITCHES = "flashinfer", "cublas_gemm", "faster_transformer", "cudagraph", "cutlass"
STRATEGY, STRATEGIES = "ipc_allreduce_strategy", ("NONE", "ONESHOT", "TWOSHOT", "AUTO")
PRESETS = {
    "O0": "",
    "O1": "cublas_gemm=1;faster_transformer=1;cutlass=1",
    "O2": "flashinfer=1;cublas_gemm=1;cudagraph=1;cutlass=1",
    "O3": "flashinfer=1;cublas_gemm=1;faster_transformer=1;cudagraph=1;cutlass=1;"
    "ipc_allreduce_strategy=AUTO",
}
DEFAULT = "O2"
RULE = (
    f"{', '.join(PRESETS)}, or flags with semicolons between, as cublas_gemm=1;cudagraph=0: "
    f"{', '.join(SWITCHES)} are 0 or 1, {STRATEGY} is {', '.join(STRATEGIES)}"
)


def flags_of(opt: object) -> Mapping[str, str] | None:
    """What a preset or a list of flags asks for, by flag; None for what is neither. None is the
    usual preset."""
    asked = DEFAULT if opt is None else opt
    if not isinstance(asked, str) or not asked:
        return None
    flags = {**dict.fromkeys(SWITCHES, "0"), STRATEGY: "NONE"}
    for part in filter(None, PRESETS.get(asked, asked).split(";")):
        name, _, value = (word.strip() for word in part.partition("="))
        if value not in (STRATEGIES if name == STRATEGY else ("0", "1")) or name not in flags:
            return None
        flags[name] = value
    return flags


def graphs_of(opt: str | None) -> bool:
    """Whether short steps on a GPU are to be graphs."""
    return (flags_of(opt) or {})["cudagraph"] == "1"


def in_effect(graphs: bool) -> str:
    """The flags that say what is really used."""
    used = {**dict.fromkeys(SWITCHES, "0"), STRATEGY: "NONE", "cudagraph": str(int(graphs))}
    return ";".join(f"{name}={value}" for name, value in used.items())
