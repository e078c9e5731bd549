"""What the check found, in a file that is whole after every result, and on the screen."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from schedule import Kind

Told = dict[str, Any]


class Report:
    """The results so far."""

    def __init__(self, file: Path, asked: dict[str, Any]) -> None:
        """`asked`: what of, for the reader of the file."""
        self.file, self._began = file, time.monotonic()
        self.told: Told = {
            "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "asked": asked, "complete": False,
            "checks": {}, "figures": {}, "left_out": [],
        }  # fmt: skip
        self.write()

    def add(self, told: Told, kind: Kind = "decides") -> None:
        """A line of a part's. What failed of a comparison is a figure that is not there."""
        if "check" in told and kind == "compares":
            told = {"figure": told["check"], "failed": told["said"]}
        match told:
            case {"facts": name, **rest}:
                self.told[name] = rest
                print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in rest.items()))
            case {"check": name, **rest}:
                self.told["checks"][name] = rest | {"kind": kind}
                print(f"{'ok    ' if rest['ok'] else 'FAILED'} {name}: {rest['said']}")
            case {"figure": name, **rest}:
                self.told["figures"][name] = rest
                print(f"       {name}: {told_of(rest)}")
            case {"left_out": name}:
                self.told["left_out"].append(name)
                print(f"       {name}: left out, there was no time")
        sys.stdout.flush()
        self.write()

    @property
    def failed(self) -> list[str]:
        """Checks that did not hold."""
        return [name for name, one in self.told["checks"].items() if not one["ok"]]

    def end(self, whole: bool) -> bool:
        """Whether everything held, of a run that came to its end; `whole`: no part was missing."""
        ok = not self.failed and bool(self.told["checks"] or self.told["figures"])
        self.told |= {"complete": whole, "ok": ok}
        self.write()
        below = [name for name, one in self.told["figures"].items() if one.get("meets") is False]
        if below:
            print(f"below their bars: {', '.join(below)}")
        count = len(self.told["checks"])
        print(
            f"all {count} checks held"
            if ok
            else f"FAILED: {', '.join(self.failed) or 'nothing was checked'}"
        )
        print(f"{self.told['seconds']:.0f} s; written to {self.file}")
        return ok

    def write(self) -> None:
        """Whole or not at all."""
        self.told["seconds"] = round(time.monotonic() - self._began, 1)
        new = self.file.with_name(f".{self.file.name}.new")
        with new.open("w") as out:
            json.dump(self.told, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        new.rename(self.file)


def told_of(figure: Told) -> str:
    """A figure in a line, its bar last."""
    shown = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figure.items()
        if name not in ("bar", "meets")
    ]
    if "bar" in figure:
        shown.append(f"bar {figure['bar']}: {'met' if figure['meets'] else 'NOT met'}")
    return ", ".join(shown)
