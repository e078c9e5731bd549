"""A source whose import ends its process, as a compiler's fault does."""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
