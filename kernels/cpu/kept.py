"""How the weights of a quantised checkpoint are kept: as they lie in its files, where a kernel
takes that, and else in 8 bits.

A matrix of the step has one form in all layers, so it is kept where all that it is made of lies
alike. No weight is read for it, and no compiler is needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.groups import Kind, own
from raylax.kernels.cpu.sizes import cpu_sizes
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight import Weight

PLAIN = ("float32", "bfloat16", "float16")
CALLED = {
    "w_embed": "embedding", "w_qkv": "qkv", "w_o": "o", "w_gate_up": "gate_up",
    "w_down": "down", "w_head": "head", "w_fc": "fc", "w_experts_up": "experts' gate_up",
    "w_experts_down": "experts' down", "w_dense_up": "gate_up of layers without experts",
    "w_dense_down": "down of layers without experts",
}  # fmt: skip
"""Matrices of the step, as users are told of them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How a matrix is kept."""

    form: Kind | str
    """Groups of a kind, or plain numbers of a precision."""
    converted: tuple[str, ...] = ()
    """What is rounded for it, by the names of its forms."""


def kept(checkpoint: Checkpoint) -> Mapping[str, Kept]:
    """Of each matrix of the step by name. Empty: nothing is quantised."""
    layers, weights = checkpoint.spec.layers, weights_of(cpu_sizes(checkpoint.spec)).values()
    lie = {
        one.name: {
            form for layer in range(one.times(layers)) for form in forms_of(checkpoint, one, layer)
        }
        for one in weights
        if one.is_matrix
    }
    if all(form in PLAIN for forms in lie.values() for form in forms):
        return {}
    found = {name: kept_as(forms) for name, forms in lie.items()}
    return {**found, "w_head": found.get("w_head", found["w_embed"])}


def forms_of(checkpoint: Checkpoint, weight: Weight, layer: int) -> set[Kind | str]:
    """Of all tensors that a weight is made of. Groups that padding of the rows would cut are none
    any more."""
    forms = {checkpoint.form(name) for name, _ in weight.sources(layer)}
    if weight.own is not None and weight.own.columns != weight.columns:
        return {f"{one.bits} bits" if isinstance(one, Kind) else one for one in forms}
    return forms


def all_in(forms: set[Kind | str], kind: Kind) -> bool:
    """Whether groups of a kind hold all that lies so, nothing rounded."""
    return all(isinstance(form, Kind) and kind.holds(form) for form in forms)


def kept_as(forms: set[Kind | str]) -> Kept:
    """What all of them can be: the one form of all, float32, or the larger codes of groups that are
    alike else. What cannot be is rounded to 8 bits, which costs next to nothing."""
    kinds = [form for form in forms if isinstance(form, Kind)]
    if kinds and all_in(forms, largest := max(kinds, key=lambda kind: kind.bits)):
        return Kept(largest)
    if forms <= set(PLAIN):
        (form,) = forms if len(forms) == 1 else ("float32",)
        return Kept(form)
    eight = own(8)
    rounded = (f for f in forms if isinstance(f, str) or not eight.holds(f))
    names = {one if isinstance(one, str) else f"{one.bits} bits" for one in rounded}
    return Kept(eight, tuple(sorted(names)))


def told(plan: Mapping[str, Kept], tied: bool) -> str:
    """What a user is told of it. `tied`: the head is one with the embedding."""
    matrices = {name: one for name, one in plan.items() if not (tied and name == "w_head")}
    as_they_are = lines_of({n: one for n, one in matrices.items() if not one.converted})
    rounded = {name: one for name, one in matrices.items() if one.converted}
    parts = [f"weights stay as they lie in the file: {as_they_are}"] if as_they_are else []
    for names in sorted({one.converted for one in rounded.values()}):
        own_names = [CALLED[name] for name, one in rounded.items() if one.converted == names]
        parts.append(f"rounded once to 8 bits: {listed(own_names)}, of {listed(names)}")
    return "; ".join(parts)


def lines_of(plan: Mapping[str, Kept]) -> str:
    """Forms, each with the matrices that have it."""
    forms = dict.fromkeys(one.form for one in plan.values())
    named = {form: [CALLED[n] for n, one in plan.items() if one.form == form] for form in forms}
    return "; ".join(f"{listed(names)} {form}" for form, names in named.items())


def listed(names: Iterable[str]) -> str:
    """As in a sentence."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
