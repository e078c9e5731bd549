"""What raylax has to read and to compute at least, and what share of the machine's limits that is.

The bytes are those of the packed weights, scales and padding included. An embedding of its own is
left out, for a step reads a few rows of it; one that is also the head is read whole. Of experts
those count that a token has.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import Load
from engines.machine import Limits

WEIGHTS = {
    "q0f32": "fp32", "q0bf16": "bf16", "q0f16": "fp32", "w8a8": "int8", "q8f32_0": "int8",
    "q4f32_1": "int4",
    "q4f32_0": "int4",
}  # fmt: skip
"""The arithmetic of each quantization's products in the layers."""
ATTENTION = {"f32": "fp32", "bf16": "bf16", "int8": "fp32"}
"""Of its products with keys and values: those of 8 bits are widened to f32."""


@dataclass(frozen=True)
class Work:
    weight_bytes: int
    """Read in every step."""
    kv_bytes: int
    """Of a token."""
    operations: int
    """Of a token in all layers' products; the head runs on one row of a prefill."""
    attention_operations: int
    """Of a token for each token that it attends to."""
    weights: str
    attention: str
    """The kinds of arithmetic."""

    def share(self, load: Load, tokens_per_s: float, limits: Limits) -> tuple[float, str] | None:
        """Of the limit that this load should meet; None where none is known."""
        if load.is_prefill:
            return self._of_arithmetic(load, tokens_per_s, limits)
        if load.sequences == 1 and limits.read is not None:
            keys = load.prompt + load.answer / 2
            moved = (self.weight_bytes + self.kv_bytes * keys) * tokens_per_s
            return moved / (limits.read * 1e9), "read"
        return None

    def _of_arithmetic(
        self, load: Load, tokens_per_s: float, limits: Limits
    ) -> tuple[float, str] | None:
        products, attention = limits.rate(self.weights), limits.rate(self.attention)
        if products is None or attention is None:
            return None
        pairs = load.prompt * (load.prompt + 1) / 2
        needed_s = load.prompt * self.operations / (products * 1e9)
        needed_s += pairs * self.attention_operations / (attention * 1e9)
        return needed_s * tokens_per_s / load.prompt, self.weights


def work_of(config: Any) -> dict[str, Any]:
    """The fields of Work, of a configuration that an engine runs with: its artefacts are made."""
    from raylax.kernels.cpu.artefacts import Artefacts
    from raylax.kernels.options import PAGE_SIZE, ModelOptions, silent

    options = ModelOptions(config.quantization, config.kv_dtype, threads=config.threads)
    artefacts = Artefacts(Path(config.model), options, None, silent)
    spec, program = artefacts.checkpoint.spec, artefacts.program
    attended = spec.heads * spec.head_dim
    untouched = program.table["w_embed"].bytes if "w_head" in program.table else 0
    units = spec.layers * spec.intermediate
    if (experts := spec.experts) is not None:
        every = sum(program.table[name].bytes for name in ("w_experts_up", "w_experts_down"))
        untouched += every * (experts.count - experts.chosen) // experts.count
        sparse = len(experts.sparse(spec.layers))
        units = sparse * (spec.intermediate + experts.chosen * experts.intermediate)
        units += len(experts.dense) * experts.dense_intermediate
    products = spec.hidden * (spec.layers * (spec.qkv_rows + attended) + 3 * units)
    return {
        "weight_bytes": program.bytes_of("weight", "layer") - untouched,
        "kv_bytes": program.bytes_of("state") // PAGE_SIZE,
        "operations": 2 * products,
        "attention_operations": 4 * spec.layers * attended,
        "weights": arithmetic_of(program.quantization, artefacts.checkpoint),
        "attention": ATTENTION[program.kv_dtype],
    }


def arithmetic_of(quantization: str, checkpoint: Any) -> str:
    """Of the layers' products; of what is kept as it lies in a file, that of its largest matrix."""
    if quantization != "stored":
        return WEIGHTS[quantization]
    from raylax.kernels.cpu.kept import kept

    matrices = kept(checkpoint)
    form = matrices["w_experts_up" if "w_experts_up" in matrices else "w_gate_up"].form
    plain = {"float32": "fp32", "float16": "fp32", "bfloat16": "bf16"}
    return plain[form] if isinstance(form, str) else f"int{form.bits}"
