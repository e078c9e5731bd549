"""A source whose import never ends, and says which process it is in."""

import os
import signal
from pathlib import Path

Path(os.environ["RAYLAX_TEST_PID"]).write_text(str(os.getpid()))
signal.pause()
