"""Where the command begins: Ctrl-C before anything of it has been imported."""

import subprocess
import sys
from importlib.metadata import entry_points

INTERRUPTED_WHILE_IT_IMPORTS = """
import os, signal, sys
from raylax.cluster.cli import entry
print(*(name for name in ("raylax.cluster.cli.main", "ray", "numpy") if name in sys.modules))
sys.stdout.flush()
class Interrupting:
    def find_spec(self, *_):
        os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
entry.main()
"""


def test_an_interrupted_import_ends_silently() -> None:
    """As shells end a command by Ctrl-C; and before it nothing that takes a while was imported."""
    run = [sys.executable, "-c", INTERRUPTED_WHILE_IT_IMPORTS]
    done = subprocess.run(run, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (130, "\n", "")


def test_the_command_begins_there() -> None:
    (command,) = entry_points(group="console_scripts", name="raylax")

    assert command.value == "raylax.cluster.cli.entry:main"
