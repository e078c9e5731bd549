"""`opt`: what is asked for, and what is in effect."""

import pytest

from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.opt_flags import flags_of, graphs_of, in_effect


@pytest.mark.parametrize(
    ("opt", "graphs"),
    [
        (None, True),
        ("O0", False),
        ("O1", False),
        ("O2", True),
        ("O3", True),
        ("cublas_gemm=1;cudagraph=0", False),
        ("cudagraph=1; ipc_allreduce_strategy=TWOSHOT;", True),
    ],
)
def test_what_has_an_effect(opt: str | None, graphs: bool) -> None:
    """Graphs of short steps, on GPUs."""
    assert EngineConfig(opt=opt).opt == opt
    assert graphs_of(opt) is graphs


@pytest.mark.parametrize(
    "opt", ["", "O4", "o2", "cublas_gemm", "cublas_gemm=2", "cublas=1", "cudagraph=AUTO", 2, ";x"]
)
def test_what_is_none_is_refused_with_what_is(opt: object) -> None:
    said = "opt must be O0, O1, O2, O3, or flags with semicolons between, as cublas_gemm=1;cudag"
    with pytest.raises(ConfigError, match=said) as found:
        EngineConfig(opt=opt)  # type: ignore[arg-type]

    assert str(found.value).endswith(f"; found {opt!r}")


@pytest.mark.parametrize("graphs", [True, False])
def test_what_is_in_effect_can_be_asked_for(graphs: bool) -> None:
    """And no vendor's library is."""
    assert graphs_of(EngineConfig(opt=in_effect(graphs)).opt) is graphs
    used = flags_of(in_effect(graphs))
    assert used is not None and {used[name] for name in ("cublas_gemm", "cutlass")} == {"0"}
