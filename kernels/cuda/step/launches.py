"""What every network launches, whatever its layers: products, and draws of logits."""

from collections.abc import Iterator, Mapping

from raylax.kernels.cuda.device.code import Kernel, Launch
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.draws import CHANGES
from raylax.kernels.cuda.step.exchange import Work
from raylax.kernels.cuda.step.weights.places import Address, DeviceMatrix
from raylax.kernels.cuda.variants import products
from raylax.kernels.cuda.variants.base import Variant

Addresses = Mapping[str, Address]


class Launches:
    """Makes them."""

    def __init__(self, form: DeviceForm, kernels: Mapping[str, Kernel], at: Addresses) -> None:
        """`kernels`: machine code by the name of its variant; `at`: where inputs and values lie, by
        name."""
        self._spec, self._chip, self._kernels, self._at = form.own, form.chip.number, kernels, at
        self._precision = form.quantization.precision

    def _kernel(self, variant: Variant) -> Kernel:
        return self._kernels[variant.name]

    def _launch(self, variant: Variant, grid: tuple[int, ...], **given: float) -> Launch:
        """With those of the arguments that this machine code takes."""
        return self._kernel(variant).launch(grid, *(given[name] for name in variant.types))

    def _product(
        self, matrix: DeviceMatrix, x: Address, tokens: int, y: Address, bias: Address = 0
    ) -> tuple[int, Launch]:
        """x @ w^T (+ bias): how many parts of it lie in `y`, and the launch. The bias of a layer's
        product its reader adds."""
        variant = products.choose(self._chip, f"linear_{matrix.format}", tokens, matrix.shape)
        launch = self._kernel(variant).launch(
            products.grid(variant, tokens, matrix.shape),
            *(x, *matrix.arrays, bias, y, tokens, *matrix.shape, *matrix.zero),
        )
        return products.parts(variant, matrix.shape), launch

    def _draw(self, rows: int) -> Iterator[Work]:
        """What each row of the logits is drawn."""
        s, at = self._spec, self._at
        changes = ("starts", "ends", *CHANGES, "repetitions", "presences", "frequencies")
        yield self._kernels["adjust"].launch(
            (rows,), at["logits"], *(at[name] for name in changes), s.padded_drawn
        )
        rule = ("scales", "top_ks", "top_ps", "leasts", "seeds", "choices", "at")
        yield self._kernels["sample"].launch(
            (rows,),
            *(at["logits"], *(at[name] for name in rule), at["drawn"], at["largest"], at["kept"]),
            *(s.drawn, s.padded_drawn),
        )
