"""Whether a rank's device is still there: what its errors say of it."""

from contextlib import suppress
from types import TracebackType
from typing import Any

from raylax.kernels.cuda.device.cudart import standing
from raylax.kernels.errors import LOST, CompileError, DeviceError
from raylax.worker.errors import DeviceLost
from raylax.worker.hardware.devices import name_of, uuid_of
from raylax.worker.hardware.lost_devices import note


class WatchedDevice:
    """`with` it a rank uses its device: an error after which nothing works there becomes
    DeviceLost, once and for all. Others are the caller's: memory that was short for one step may
    suffice for the next."""

    def __init__(self, device: str) -> None:
        self.fault: str | None = None
        """Which device was lost, and how; None while it is there. Any thread may read it."""
        # known from the start: one that is lost cannot be asked
        self._name, self._uuid = name_of(device), uuid_of(device)

    def __enter__(self) -> None:
        """Raises DeviceLost for one that is gone already."""
        if self.fault is not None:
            raise DeviceLost(self.fault)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if raised is not None and self._code_of(raised) in LOST:
            self.fault = f"{self._name} is lost: {raised}"
            if self._uuid:
                note(self._uuid)
            raise DeviceLost(self.fault) from raised

    def _code_of(self, raised: BaseException) -> int:
        """CUDA's code behind an error; 0 if there is none. Of one that came without, as through
        TVM, the device is asked: what is lost says so whatever it is asked."""
        if isinstance(raised, DeviceError) and raised.code:
            return raised.code
        if self._uuid and isinstance(raised, Exception):
            with suppress(CompileError):
                return standing()
        return 0

    def check(self, results: list[Any]) -> list[Any]:
        """What a call gave that returns what it raises. Raises DeviceLost."""
        for one in results:
            if isinstance(one, DeviceError) and one.is_lost:
                with self:
                    raise one
        return results
