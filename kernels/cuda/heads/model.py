"""A draft head on a GPU, beside the model that it drafts for: its step begins otherwise.

Features come from the host and go there, as the worker keeps them for each sequence. It has run on
no GPU so far; tests run it on a driver that interprets the launches.
"""

import numpy as np

from raylax.kernels.cuda.device.memory import read, write
from raylax.kernels.cuda.heads.loading import HeadLoader
from raylax.kernels.cuda.heads.program import HeadProgram
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.cuda.step.program import Given, StepProgram
from raylax.kernels.cuda.step.runner import run_all
from raylax.kernels.cuda.step.weights.loading import Loader
from raylax.kernels.model import Floats, StepBatch, StepOutput


class HeadOnDevice(DeviceModel):
    """A head's step."""

    loader = HeadLoader

    def _program(self, loader: Loader, given: Given) -> StepProgram:
        assert isinstance(loader, HeadLoader)
        self._fused, fusion = HeadProgram(given, loader.fusing()), loader.form.spec.fusion
        assert fusion is not None
        self._tapped = fusion.tapped
        return self._fused

    def features(self, tapped: Floats) -> Floats:
        """What the base keeps of some tokens, as features."""
        count, at = len(tapped), self._values
        self._put("tapped", tapped, self._tapped)
        with self._stream.current():
            run_all([*self._fused.features(count)])
        found = read(at["features"], (count, self._width), np.float32, self._stream.address)
        return found[:, : self.spec.hidden]

    def step_from(self, batch: StepBatch, features: Floats) -> StepOutput:
        """`step` of tokens that each go on from a feature. What `hidden` has are features of the
        next step."""
        self._put("features", features, self._width)
        output = self.step(batch)
        return output._replace(hidden=np.asarray(output.hidden))

    def _put(self, name: str, rows: Floats, width: int) -> None:
        """Rows, with what padding there is on the device."""
        whole = np.pad(rows, ((0, 0), (0, width - rows.shape[1])))
        write(self._values[name], whole, self._stream.address)
