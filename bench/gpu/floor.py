"""What a device needs at least: the bytes that must be moved, or the operations, whichever takes it
longer at the rates that its driver tells."""

from dataclasses import dataclass
from typing import Any

from machine import Timing


@dataclass(frozen=True, slots=True)
class Floor:
    """The limits of one device."""

    bytes_s: float
    flop_s: float
    cache: int
    """Bytes of what lies between memory and multiprocessors."""

    @classmethod
    def of(cls, report: dict[str, Any]) -> "Floor":
        """From what `device.py` has found."""
        device = report["device"]
        return cls(device["bytes_s"], device["flop_s"], device["cache_bytes"])

    def seconds(self, size: float, operations: float = 0.0) -> float:
        return max(size / self.bytes_s, operations / self.flop_s)

    def told(self, took: Timing, size: float, operations: float = 0.0) -> dict[str, Any]:
        """A launch's figure: microseconds, TB/s or TFLOP/s by what limits it, its share of the floor."""
        limited = size / self.bytes_s >= operations / self.flop_s
        rate = (
            {"TB_s": rounded(size / took.median / 1e12)}
            if limited
            else {"TFLOP_s": rounded(operations / took.median / 1e12)}
        )
        share = self.seconds(size, operations) / took.median
        return {
            "us": rounded(took.median * 1e6),
            **rate,
            "of_floor": rounded(share),
            "spread": rounded(took.spread),
        }


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")
