"""What NVIDIA's management library says of some GPUs: use, memory, power, energy, errors.

By nvidia-ml-py, imported here alone and only where somebody asks for a GPU. GPUs are known by UUID:
NVML counts all of the machine's by their place on the bus, CUDA those that a process may see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raylax.worker.errors import DeviceLost

LOST_XIDS = frozenset({48, 62, 64, 79, 95, 119, 120, 140})
"""Of NVIDIA's catalogue those after which a GPU must be reset, whoever uses it: uncorrectable or
uncontained ECC errors, its own processors' halt, the fall off the bus. Those that a program brings
about, as 13 and 31, are CUDA errors in the process whose they are."""


class NoNvml(Exception):
    """It cannot be asked. The message says why."""


@dataclass(frozen=True, slots=True)
class GpuSample:
    """A GPU as it was at one moment. None: it does not tell."""

    uuid: str
    name: str
    utilization: float | None = None
    """Share of the last second in which something ran on it."""
    memory_used: int | None = None
    memory_free: int | None = None
    """Bytes, of all processes."""
    power_w: float | None = None
    energy_j: float | None = None
    """Since its driver was loaded."""
    ecc_errors: int | None = None
    """Uncorrectable ones, since its driver was loaded."""
    xid: int = 0
    """The last error that the driver has told of, 0 if none."""


class Nvml:
    """Some GPUs of this machine. Any thread may ask, one at a time."""

    def __init__(self, uuids: Sequence[str]) -> None:
        """Raises NoNvml where the library, the package or a GPU cannot be found, and DeviceLost."""
        try:
            import pynvml
        except ImportError:
            raise NoNvml("nvidia-ml-py is not installed: pip install 'raylax[cuda]'") from None
        self._nvml: Any = pynvml
        self._handles = dict[str, Any]()
        self._known = dict[str, GpuSample]()
        try:
            pynvml.nvmlInit()
            for uuid in uuids:
                self._open(uuid)
            self._events = self._listen()
        except pynvml.NVMLError as error:
            raise NoNvml(f"NVML: {error}") from None

    def _open(self, uuid: str) -> None:
        self._known[uuid] = GpuSample(uuid, uuid)
        handle = self._ask(uuid, lambda: self._nvml.nvmlDeviceGetHandleByUUID(uuid.encode()))
        if handle is None:
            raise NoNvml(f"NVML does not know {uuid}")
        self._handles[uuid] = handle
        name = self._ask(uuid, lambda: self._nvml.nvmlDeviceGetName(handle))
        self._known[uuid] = GpuSample(uuid, name or uuid)

    def _listen(self) -> Any:
        """A set of the events that are errors; None where there are none to be had."""
        try:
            events = self._nvml.nvmlEventSetCreate()
            for handle in self._handles.values():
                self._nvml.nvmlDeviceRegisterEvents(
                    handle, self._nvml.nvmlEventTypeXidCriticalError, events
                )
        except self._nvml.NVMLError:
            return None
        return events

    def sample(self) -> list[GpuSample]:
        """Each GPU as it is now. Raises DeviceLost for one that is gone."""
        self._hear()
        return [self._sample(uuid, handle) for uuid, handle in self._handles.items()]

    def _sample(self, uuid: str, handle: Any) -> GpuSample:
        nvml = self._nvml
        rates = self._ask(uuid, lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        memory = self._ask(uuid, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        power = self._ask(uuid, lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        energy = self._ask(uuid, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        return replace(
            self._known[uuid],
            utilization=None if rates is None else rates.gpu / 100,
            memory_used=None if memory is None else memory.used,
            memory_free=None if memory is None else memory.free,
            power_w=None if power is None else power / 1000,
            energy_j=None if energy is None else energy / 1000,
            ecc_errors=self._ask(
                uuid, lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, kind, since)
            ),
        )

    def _hear(self) -> None:
        """Take note of the errors that have come since. Raises DeviceLost."""
        while self._events is not None:
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                uuid = self._nvml.nvmlDeviceGetUUID(event.device)
            except self._nvml.NVMLError:
                return  # nothing has come
            if uuid in self._known:
                self._known[uuid] = replace(self._known[uuid], xid=int(event.eventData))
                self._judge(self._known[uuid])

    def _judge(self, known: GpuSample) -> None:
        if known.xid in LOST_XIDS:
            why = f"{known.name} {known.uuid} is lost: the driver says Xid {known.xid}"
            raise DeviceLost(why, known.uuid)

    def _ask(self, uuid: str, ask: Callable[[], Any]) -> Any:
        """What it answers; None where this GPU does not tell. Raises DeviceLost."""
        nvml = self._nvml
        try:
            return ask()
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED):
                name = self._known[uuid].name
                who = uuid if name == uuid else f"{name} {uuid}"
                raise DeviceLost(f"{who} is lost: NVML says {error}", uuid) from None
            return None
