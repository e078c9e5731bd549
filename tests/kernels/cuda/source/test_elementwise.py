"""Units of an MLP and logits against numpy."""

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.variants.elementwise import ACTIVATIONS
from raylax.kernels.spec import Activation
from tests.support.cuda_interpreter import launch

from raylax.kernels.cuda.source import elementwise  # isort: skip

Array = npt.NDArray[Any]
ERF = np.vectorize(erf)
EXACT: dict[Activation, Callable[[Array], Array]] = {
    "silu": lambda x: x * (1 + np.tanh(x / 2)) / 2,
    "gelu": lambda x: x * (1 + ERF(x / 2**0.5)) / 2,
    "gelu_tanh": lambda x: x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2,
    "relu2": lambda x: np.maximum(x, 0) ** 2,
}


def activated(
    parts: Array, activation: Activation, gated: bool = False, bias: Array | None = None
) -> Array:
    """In blocks of 16, of which the last is not full."""
    _, tokens, columns = parts.shape
    width = columns // 2 if gated else columns
    y = np.zeros((tokens, width), np.float32)
    launch(
        elementwise.activate,
        (tokens, -(-width // 16)),
        parts=parts,
        bias=bias,
        y=y,
        tokens=tokens,
        width=width,
        PARTS=len(parts),
        HAS_BIAS=bias is not None,
        GATED=gated,
        ACTIVATION=ACTIVATIONS[activation],
        BLOCK=16,
    )
    return y


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_right_for_numbers_of_any_size(activation: Activation) -> None:
    x = np.concatenate([np.linspace(-12, 12, 397), [0, 1e-20, -1e-20, 80, -80, 3e4, -3e4, 1, 2]])
    x = x.astype(np.float32)[None]

    y = activated(x[None], activation)

    np.testing.assert_allclose(y, EXACT[activation](x.astype(float)), rtol=2e-6, atol=5e-7)


def test_what_is_not_a_number_is_not_hidden() -> None:
    x = np.full((1, 1, 16), np.nan, np.float32)

    assert all(np.isnan(activated(x, activation)).all() for activation in ACTIVATIONS)


@pytest.mark.parametrize("biased", [False, True])
def test_gates_are_multiplied_with_what_they_gate(biased: bool) -> None:
    """Rows of gates come first, and so do their biases; segments are added upwards."""
    rng = np.random.default_rng(3)
    parts = rng.standard_normal((4, 3, 80), np.float32)
    bias = to_bf16(rng.standard_normal(80, np.float32)) if biased else None

    y = activated(parts, "gelu_tanh", True, bias)

    total = parts.astype(float).sum(0) + (0 if bias is None else from_bf16(bias))
    expected = EXACT["gelu_tanh"](total[:, :40]) * total[:, 40:]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("softcap", [0.0, 5.0])
def test_logits_are_scaled_and_then_capped(softcap: float) -> None:
    given = np.random.default_rng(3).standard_normal((2, 48)).astype(np.float32) * 9
    logits = given.copy()

    launch(
        elementwise.cap_logits,
        (2, 3),
        logits=logits,
        scale=0.5,
        softcap=softcap,
        stride=48,
        CAPPED=softcap > 0,
        BLOCK=16,
    )

    scaled = given.astype(float) / 2
    expected = softcap * np.tanh(scaled / softcap) if softcap else scaled
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
