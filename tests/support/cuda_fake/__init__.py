"""A machine with GPUs that it does not have: `machine.py` makes the driver, `device.py` is what its
launches do."""
