"""Machine code for units of MLPs that their product does not compute, and for logits: it serves
every model."""

from raylax.kernels.cuda.variants.base import Variant, signature
from raylax.kernels.cuda.variants.pointwise import checked
from raylax.kernels.spec import Activation, DecoderSpec

BLOCK = 1024
"""Numbers of a program."""
ACTIVATIONS: dict[Activation, int] = {"silu": 0, "gelu": 1, "gelu_tanh": 2, "relu2": 3}
"""As the kernel knows them."""


def is_apart(spec: DecoderSpec) -> bool:
    """Whether a model's MLP is activated by a kernel of its own, behind the product."""
    return not spec.gated or spec.activation != "silu" or spec.mlp_bias


def activate(spec: DecoderSpec, precision: str, parts: int) -> Variant:
    """After the product into a model's MLP, of `parts` segments."""
    traits = "_gated" * spec.gated + "_bias" * spec.mlp_bias
    return Variant(
        f"activate_{precision}_{spec.activation}_p{parts}{traits}",
        "elementwise:activate",
        signature("parts:f bias:k y:k tokens:i width:i", checked(precision)),
        {
            "PARTS": parts,
            "HAS_BIAS": spec.mlp_bias,
            "GATED": spec.gated,
            "ACTIVATION": ACTIVATIONS[spec.activation],
            "BLOCK": BLOCK,
        },
        4,
        2,
        ("width",),
    )


def has_cap(spec: DecoderSpec) -> bool:
    """Whether logits are other than what the head's product comes to."""
    return spec.logit_scale != 1 or spec.logit_softcap > 0


def cap_logits(capped: bool) -> Variant:
    """Behind the head's product."""
    return Variant(
        "cap_logits" if capped else "scale_logits",
        "elementwise:cap_logits",
        signature(f"logits:f scale:s {'softcap:s ' * capped}stride:i"),
        {**({} if capped else {"softcap": 0}), "CAPPED": capped, "BLOCK": BLOCK},
        4,
        2,
        ("stride",),
    )
