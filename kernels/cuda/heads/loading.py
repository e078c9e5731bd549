"""A draft head's weights on a device: its own, and what it has of its base."""

import numpy as np

from raylax.kernels.cuda.formats.shards import Part
from raylax.kernels.cuda.heads.program import FusionWeights
from raylax.kernels.cuda.step.weights.loading import Loader


class HeadLoader(Loader):
    """Brings them to the device."""

    __slots__ = ()

    def fusing(self) -> FusionWeights:
        """What it has beside a decoder. Raises CompileError, DeviceError."""
        form, whole = self.form.quantization.layers, Part()
        bias = self._bias("b_fc", whole, 0)
        fc = self._matrix(self._source("w_fc", 0, form), whole, form, bias, cut=True)
        e, h, base = (self._norm(name).weight for name in ("norm_e", "norm_h", "norm_base"))
        return FusionWeights(fc, e, h, base, self._places())

    def _places(self) -> int:
        spec, tokens = self.form.spec, self.checkpoint.tokens
        if spec.vocab == spec.drawn:
            return 0
        assert tokens is not None, "who names some says which"
        places = np.full(spec.padded_drawn, -1, np.int32)
        places[tokens] = np.arange(len(tokens))
        return self._put(places)
