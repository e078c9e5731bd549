"""What of this machine decides which file of a model suits it."""

from raylax.kernels.sources.short_names import Machine
from raylax.worker.hardware.memory import available_memory


def machine_for(device: str) -> Machine:
    """With this device, as `detect_device` says it."""
    return Machine(available_memory(), device.startswith("cuda"))
